-- ARGV: now, session or '', ttl, changes

--include common.lua
--include state.lua

local name = ARGV[2]
local m = {}
if name ~= '' then
	m = call('HMGET', session_key(name), 'generation', 'expires', 'armed')
	if not lasts(m[1], m[2]) then
		return {NOTFOUND}
	end
end
local plans = changes_read(4, m[1])
local full = changes_overflow(plans)
if full then
	return {TOOBIG, full}
end
changes_apply(plans)
if name ~= '' then
	touch(name, m, tonumber(ARGV[3]), true, {})
end
return {0}
