-- ARGV: now, session, whether to tell, ttl, title

--include common.lua
--include tell.lua
--include touch.lua

local m = call('HMGET', session_key(ARGV[2]), 'generation', 'expires', 'armed', 'updated')
if not lasts(m[1], m[2]) then
	return {NOTFOUND}
end
touch(ARGV[2], m[1], whole(m[2]), whole(m[3]), tonumber(ARGV[4]), place(m[4]), false,
	{'title', ARGV[5]})
tell(session_key(ARGV[2]))
return {0}
