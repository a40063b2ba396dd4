-- Tell those who watch a session that something has happened to it, on the channel that is named like its
-- key; after all else. ARGV[3] is '' where we may not: that is no reason to fail, nor to try each time. In
-- a cluster, where it costs all nodes, it is 'w': only if somebody watches sessions of the user.
local function tell(key)
	if ARGV[3] == '1' or ARGV[3] == 'w' and call('EXISTS', base .. ':ears') == 1 then
		redis.pcall('PUBLISH', key, '')
	end
end
