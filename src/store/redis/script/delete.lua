-- ARGV: now, session, whether to tell, trash time

--include common.lua
--include trash.lua
--include lifetime.lua
--include tell.lua

local name, time = ARGV[2], tonumber(ARGV[4])
local m = call('HMGET', session_key(name), 'generation', 'expires')
local generation = m[1]
local deaths = deaths_key(name)

-- Forget those of the name that have gone by themselves, some at a time.
local function tidy_deaths()
	for _, old in ipairs(call('ZRANGE', deaths, 0, 2)) do
		if call('EXISTS', deleted_key(old)) == 0 then
			call('ZREM', deaths, old)
		end
	end
end

local lives = lasts(generation, m[2])
if not lives or time == 0 then
	discard(name, generation)
	if lives then
		tell(session_key(name))
	end
	return {0}
end
local ends, position = math.min(now + time, MAX_WHOLE - 1), trash_front()
call('RENAME', session_key(name), deleted_key(generation))
call('HSET', deleted_key(generation), 'session', name, 'deleted', now, 'until', ends)
call('ZREM', live, name)
call('ZREM', due, 's:' .. name)
tidy_deaths()
index_add(trash, position, generation, ends)
index_add(deaths, position, generation, ends)
index_add(due, ends, 'd:' .. generation, ends)
expire_parts(deleted_key(generation), generation, ends)
tell(session_key(name))
return {0}
