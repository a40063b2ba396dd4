-- ARGV: now, session, ttl, title

local m = call('HMGET', session_key(ARGV[2]), 'generation', 'expires')
if not lasts(m[1], m[2]) then
	return {NOTFOUND}
end
touch(ARGV[2], m[1], tonumber(m[2]), tonumber(ARGV[3]), 'title', ARGV[4])
return {0}
