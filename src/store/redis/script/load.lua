-- ARGV: now, session, window, n, seq, '#' and id, limit, bytes of events after which to stop
--
-- Answers 0, the session, the state of the three scopes, the first and last seq of the window, the
-- first seq that is not in this answer, and lists of packed events.

--include common.lua

local window, n, seq, limit = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[7])
local budget = tonumber(ARGV[8])

local m = call('HMGET', session_key(ARGV[2]), 'generation', 'expires', 'title', 'created',
	'updated', 'first', 'last', 'biggest')
if not lasts(m[1], m[2]) then
	return {NOTFOUND}
end
local events = events_key(m[1])
local first, last = tonumber(m[6]), tonumber(m[7])
if limit > 0 then
	first = math.max(first, last - limit + 1)
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
	local at = tonumber(call('HGET', events, ARGV[6]) or 0)
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
	call('HGETALL', app), low, high, low}
-- A command fetches at most a MiB, or a single event; so the answer stays in bounds.
local step = math.max(math.min(math.floor(1048576 / tonumber(m[8])), PIECE), 1)
local at, bytes = low, 0
while at <= high and bytes < budget do
	local seqs = {}
	for i = at, math.min(at + step - 1, high) do
		table.insert(seqs, i)
	end
	local packed = call('HMGET', events, unpack(seqs))
	for _, one in ipairs(packed) do
		bytes = bytes + (one and #one or 0)
	end
	table.insert(answer, packed)
	at = at + #seqs
end
answer[8] = at
return answer
