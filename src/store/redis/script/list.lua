-- ARGV: now, 'live' or 'trash', the highest position, n, most entries to look at
--
-- Answers 0, whether these are all that were asked for, and the sessions. Entries of sessions that
-- are over are skipped and removed, so that asking again gets further.

--include common.lua
--include trash.lua

local is_live = ARGV[2] == 'live'
local index = is_live and live or trash
local n, steps = tonumber(ARGV[4]), tonumber(ARGV[5])

local answer = {0, 1}
local entries = call('ZREVRANGEBYSCORE', index, ARGV[3], '-inf', 'WITHSCORES', 'LIMIT', 0, steps)
for i = 1, #entries, 2 do
	local member, position = entries[i], entries[i + 1]
	local m = call('HMGET', is_live and session_key(member) or deleted_key(member), 'generation',
		is_live and 'expires' or 'until', 'title', 'created', 'updated', 'first', 'last',
		'session', 'expires', 'deleted')
	if lasts(m[1], m[2]) then
		table.insert(m, position)
		m[8] = m[8] or member
		table.insert(answer, m)
	elseif is_live then
		discard(member, m[1])
	else
		discard_deleted(m[8], member)
	end
	if #answer == n + 2 then
		return answer
	end
end
answer[2] = #entries < 2 * steps and 1 or 0
return answer
