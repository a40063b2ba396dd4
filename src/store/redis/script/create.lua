-- ARGV: now, session, whether to tell, ttl, generation, title, changes, if there are any

--include common.lua
--include pieces.lua
--include state.lua
--include touch.lua
--include trash.lua
--include lifetime.lua
--include tell.lua

local name, ttl, generation = ARGV[2], tonumber(ARGV[4]), ARGV[5]
local key = session_key(name)

-- Look at some sessions whose time was up when they were last looked at, so that a user who keeps
-- making sessions does not keep their entries in the indexes.
local function sweep()
	for _, member in ipairs(call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, 10)) do
		local id = string.sub(member, 3)
		local is_live = string.sub(member, 1, 1) == 's'
		local found = call('HMGET', is_live and session_key(id) or deleted_key(id),
			'generation', is_live and 'expires' or 'until', 'session')
		local ends = tonumber(found[2])
		if not ends or ends > 0 and ends <= now then
			if is_live then
				discard(id, found[1])
			else
				discard_deleted(found[3], id)
			end
		elseif ends > 0 then
			index_add(due, ends, member, ends)
		else
			call('ZREM', due, member)
		end
	end
end

local old = call('HMGET', key, 'generation', 'expires')
if lasts(old[1], old[2]) then
	if old[1] == generation then
		redis.pcall('HSET', key, 'generation', generation) -- for who waits for replicas; see append.lua
	end
	return {EXISTS, old[1]}
end
-- A repeated call, whose first try made the session and did not hear of it, and others have deleted
-- it since.
if call('EXISTS', deleted_key(generation)) == 1 then
	return {0}
end
local plans = changes_read(7, generation, {})
local full = changes_overflow(plans)
if full then
	return {TOOBIG, full}
end
discard(name, old[1])
call('HSET', key, 'generation', generation, 'title', ARGV[6], 'created', now, 'first', 1,
	'last', 0, 'time', 0, 'biggest', 1, 'expires', 0, 'armed', 0)
changes_apply(plans)
touch(name, generation, 0, 0, ttl, ARGV[1], true, {})
sweep()
tell(key)
return {0}
