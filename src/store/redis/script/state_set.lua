-- ARGV: now, session or '', whether to tell, ttl, changes

--include common.lua
--include pieces.lua
--include state.lua
--include tell.lua
--include touch.lua

local name, m, at = ARGV[2], {}, nil
if name ~= '' then
	m = call('HMGET', session_key(name), 'generation', 'expires', 'armed', 'updated')
	if not lasts(m[1], m[2]) then
		return {NOTFOUND}
	end
	m[2], m[3], at = whole(m[2]), whole(m[3]), place(m[4])
end
local plans = changes_read(5, m[1], {})
local full = changes_overflow(plans)
if full then
	return {TOOBIG, full}
end
changes_apply(plans)
if name ~= '' then
	touch(name, m[1], m[2], m[3], tonumber(ARGV[4]), at, true, {})
	tell(session_key(name))
end
return {0}
