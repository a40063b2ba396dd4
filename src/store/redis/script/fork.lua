-- ARGV: now, session, whether to tell, ttl, limit, the fork's id and generation, the last seq to take
-- over, bytes after which to stop; and where it has stopped before, as it answered then: the generation
-- of the source, the first seq, the next one.
--
-- Events are taken over in pieces, so that a long session stops nobody. What has come so far is in the
-- key that the fork's events will have, where nobody looks; the last piece makes the session. Answers 0,
-- or 0 and where it has stopped.

--include common.lua
--include fetch_events.lua
--include pieces.lua
--include tell.lua
--include touch.lua
--include trash.lua

local UNFINISHED = 60000 -- ms that pieces wait for the next one
local name, generation, budget = ARGV[6], ARGV[7], tonumber(ARGV[9])
local ttl, limit = tonumber(ARGV[4]), tonumber(ARGV[5])

local m = call('HMGET', session_key(ARGV[2]), 'generation', 'expires', 'title', 'first', 'last',
	'biggest', 'large')
if not lasts(m[1], m[2]) then
	return {NOTFOUND}
end
local old = call('HMGET', session_key(name), 'generation', 'expires')
if lasts(old[1], old[2]) then
	if old[1] == generation then
		redis.pcall('HSET', session_key(name), 'generation', generation) -- see append.lua
	end
	return {EXISTS, old[1]}
end
if call('EXISTS', deleted_key(generation)) == 1 then
	return {0} -- see create.lua
end
local first, last = whole(m[4]), whole(m[5])
local to = math.min(last, tonumber(ARGV[8]))
local large = m[7] and whole(m[7]) or whole(m[6]) > LARGE and last or 0
local source, events = events_key(m[1]), events_key(generation)
if limit > 0 then
	first = math.max(first, last - limit + 1)
end
local at = first
if ARGV[10] == m[1] and tonumber(ARGV[12]) >= whole(m[4]) and call('EXISTS', events) == 1 then
	first, at = tonumber(ARGV[11]), tonumber(ARGV[12])
else
	call('UNLINK', events)
end

-- Take over some events. Answers how many bytes they had.
local function take()
	local list, set, bytes = {}, {}, 0
	local after = fetch_events(list, source, at, to, large, 1)
	for i, packed in ipairs(list[1]) do
		if not packed then
			error('DAMAGED')
		end
		local seq, n = string.format('%.0f', at + i - 1), #set
		set[n + 1], set[n + 2] = seq, packed
		set[n + 3], set[n + 4] = '#' .. string.sub(packed, 17, 32), seq
		bytes = bytes + #packed
	end
	call_pieces('HSET', events, set, 4)
	at = after
	return bytes
end

local begun = at > first
while at <= to and budget > 0 do
	budget = budget - take()
	if not begun then
		call('PEXPIRE', events, UNFINISHED)
		begun = true
	end
end
if at <= to then
	call('PEXPIRE', events, UNFINISHED)
	return {0, m[1], first, at}
end
local newest = call('HGET', events, string.format('%.0f', to))
call('PERSIST', events)
discard(name, old[1])
call_pieces('HSET', state_key(generation), call('HGETALL', state_key(m[1])), 2)
call('HSET', session_key(name), 'generation', generation, 'title', m[3], 'created', now,
	'first', math.min(first, to + 1), 'last', to, 'large', math.min(large, to),
	'time', newest and tonumber(string.sub(newest, 1, 16)) or 0, 
	'biggest', large > 0 and 4194304 or 1, 'expires', 0, 'armed', 0, 'fork', ARGV[2], 'fork_generation', m[1], 'fork_seq', to)
touch(name, generation, 0, 0, ttl, ARGV[1], true, {})
tell(session_key(name))
return {0}
