-- ARGV: now, session, ttl, limit, generation or '', after_seq or '', now in ms, count,
-- then for each event its id and its packed form, then changes.
--
-- Events are a hash of seq to packed event and of '#' and id to seq. A packed event begins with
-- its time in ms as 16 digits and its id; see store.c.

--include common.lua
--include state.lua

local name, ttl, limit, now_ms = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[7])
local count = tonumber(ARGV[8])
local AT = 9 -- the first event
local TRIM = 10000 -- most events that go in one call

local m = call('HMGET', session_key(name), 'generation', 'expires', 'armed', 'first', 'last', 'time',
	'biggest')
local generation, first, last = m[1], tonumber(m[4]), tonumber(m[5])
local events = generation and events_key(generation)

-- The seq of each event that is stored already.
local function stored_seqs()
	local seqs = {}
	for from = 1, count, PIECE do
		local ids = {}
		for i = from, math.min(from + PIECE - 1, count) do
			ids[#ids + 1] = '#' .. ARGV[AT + 2 * (i - 1)]
		end
		for i, seq in ipairs(call('HMGET', events, unpack(ids))) do
			seqs[from + i - 1] = seq and tonumber(seq) or nil
		end
	end
	return seqs
end

-- Remove the oldest up to, not including, `keep`.
local function trim(from, keep)
	keep = math.min(keep, from + TRIM)
	for at = from, keep - 1, PIECE do
		local seqs, gone = {}, {}
		for seq = at, math.min(at + PIECE, keep) - 1 do
			table.insert(seqs, seq)
		end
		for i, packed in ipairs(call('HMGET', events, unpack(seqs))) do
			table.insert(gone, seqs[i])
			if packed then
				table.insert(gone, '#' .. string.sub(packed, 17, 32))
			end
		end
		call_pieces('HDEL', events, gone, 1)
	end
	return keep
end

if not lasts(generation, m[2]) then
	return {NOTFOUND}
end
if ARGV[5] ~= '' and ARGV[5] ~= generation then
	return {CONFLICT, last, 1}
end
local seqs = stored_seqs()
local fresh, skip = {}, {}
for i = 1, count do
	skip[i] = seqs[i] and true
	if not seqs[i] then
		fresh[#fresh + 1] = i
	end
end
if #fresh == 0 then
	return {0, unpack(seqs)}
end
if ARGV[6] ~= '' and tonumber(ARGV[6]) ~= last then
	return {CONFLICT, last}
end
local plans = changes_read(AT + 2 * count, generation, skip)
local full = changes_overflow(plans)
if full then
	return {TOOBIG, full}
end

local time, biggest, before = math.max(now_ms, tonumber(m[6])), tonumber(m[7]), last
local add, set = {}, {}
for _, i in ipairs(fresh) do
	local id, packed = ARGV[AT + 2 * (i - 1)], ARGV[AT + 2 * (i - 1) + 1]
	if time ~= now_ms then
		packed = string.format('%016.0f', time) .. string.sub(packed, 17)
	end
	last = last + 1
	seqs[i] = last
	biggest = math.max(biggest, #packed)
	local seq, n = string.format('%.0f', last), #add
	add[n + 1], add[n + 2], add[n + 3], add[n + 4] = seq, packed, '#' .. id, seq
	set[1], set[2] = 'last', seq
end
call_pieces('HSET', events, add, 4)
set[3], set[4] = 'time', time == now_ms and ARGV[7] or time
if biggest ~= tonumber(m[7]) then
	set[5], set[6] = 'biggest', biggest
end
local keep = math.min(before + 1, last - limit + 1)
if limit > 0 and first < keep then
	set[#set + 1] = 'first'
	set[#set + 1] = trim(first, keep)
end
changes_apply(plans)
touch(name, m, ttl, before == 0 or plans.s, set)
return {0, unpack(seqs)}
