-- ARGV: now, session, whether to tell, ttl, generation or ''

--include common.lua
--include trash.lua
--include lifetime.lua
--include tell.lua

local name, ttl = ARGV[2], tonumber(ARGV[4])
local key, deaths = session_key(name), deaths_key(name)

-- The one deleted last whose trash time is not over.
local function newest()
	local from = 0
	while true do
		local found = call('ZREVRANGE', deaths, from, from)[1]
		if not found then
			return nil
		end
		local m = call('HMGET', deleted_key(found), 'generation', 'until')
		if lasts(m[1], m[2]) then
			return found
		end
		from = from + 1
	end
end

local function keep_parts(generation)
	for _, part in ipairs({key, events_key(generation), state_key(generation),
		draft_key(generation)}) do
		call('PERSIST', part)
	end
end

local old = call('HMGET', key, 'generation', 'expires')
if lasts(old[1], old[2]) then
	return {EXISTS}
end
local generation = ARGV[5] ~= '' and ARGV[5] or newest()
if not generation then
	return {NOTFOUND}
end
local m = call('HMGET', deleted_key(generation), 'generation', 'until', 'session', 'expires',
	'deleted', 'updated')
if not lasts(m[1], m[2]) or m[3] ~= name then
	return {NOTFOUND}
end
local expires, deleted, at = whole(m[4]), whole(m[5]), place(m[6])
if ttl > 0 then
	expires = math.min(now + ttl, MAX_WHOLE - 1)
elseif expires > 0 then
	expires = math.min(expires + now - deleted, MAX_WHOLE - 1)
end
discard(name, old[1])
call('RENAME', deleted_key(generation), key)
call('HDEL', key, 'session', 'deleted', 'until')
leave_trash(name, generation)
call('HSET', key, 'expires', expires, 'armed', 0, 'updated', at)
index_session(name, generation, at, expires)
if expires == 0 then
	keep_parts(generation)
end
tell(key)
return {0}
