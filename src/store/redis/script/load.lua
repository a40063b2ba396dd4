-- ARGV: now, session, window, n, seq, '#' and id, limit, bytes of events after which to stop, whether the
-- draft is wanted
--
-- Answers 0, the session (list.lua has its items; here the id, the bytes in front of the message and the
-- key of its draft follow, if it has one that is wanted), the state of the three scopes, the first and last seq of the window, the
-- first seq that is not in this answer, the seq of the last large event, and lists of packed events. In
-- a cluster the notes of the user (state.lua) are in the place of the app's state.

--include common.lua
--include fetch_events.lua

local window, n, seq, limit = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[7])

local m = call('HMGET', session_key(ARGV[2]), 'generation', 'expires', 'title', 'created',
	'updated', 'first', 'last', 'held', 'fork', 'fork_generation', 'fork_seq', 'draft', 'head',
	'biggest', 'large')
if not lasts(m[1], m[2]) then
	return {NOTFOUND}
end
local events = events_key(m[1])
local first, last = whole(m[6]), whole(m[7])
-- Programs of before did not say which event was large.
local large = m[15] and whole(m[15]) or whole(m[14]) > LARGE and last or 0
m[14], m[15] = nil, nil
m[8] = held_left(m[8])
if m[12] and ARGV[9] == '1' then
	m[14] = call('GET', draft_key(m[1]))
end
if not m[14] then
	m[12], m[13], m[14] = nil, nil, nil
end
if limit > 0 and last - limit + 1 > first then
	first = last - limit + 1
	m[6] = string.format('%.0f', first)
end

local low, high = first, last
if window == 'last' then
	low = math.max(first, last - n + 1)
elseif window == 'after' then
	low = math.max(first, seq + 1)
	high = math.min(last, low + n - 1)
elseif window == 'before' then
	high = math.min(last, seq - 1)
	low = math.max(first, high - n + 1)
elseif window == 'around' then
	local at = whole(call('HGET', events, ARGV[6]) or 0)
	if at < first then
		return {NOTFOUND, 1}
	end
	local after = math.floor((n - 1) / 2)
	high = math.min(last, at + after)
	low = math.max(first, at - (n - 1 - after))
else
	high = low - 1
end

local answer = {0, m, call('HGETALL', state_key(m[1])), call('HGETALL', base),
	app and call('HGETALL', app) or call('LRANGE', base .. ':notes', 0, 0), low, high, low,
	large}
answer[8] = fetch_events(answer, events, low, high, large, tonumber(ARGV[8]))
return answer
