-- ARGV: now, session, whether to tell, ttl, limit, generation or '', after_seq or '', count, that many packed
-- events, what becomes of the lease (hold.lua), and changes; the last two if there are any.
--
-- Events are a hash of seq to packed event and of '#' and id to seq. A packed event begins with
-- its time in ms as 16 digits and its id; see event.c.
--
-- This is the script that counts: what few calls need is not even defined for the others.

--include common.lua
--include tell.lua

local name, ttl, limit, count = ARGV[2], tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[8])
local AT = 8 -- before the first event
local sub, key = string.sub, session_key(ARGV[2])

local m = call('HMGET', key, 'generation', 'expires', 'armed', 'first', 'last', 'time', 'updated')
local generation, expires = m[1], m[2]
if not lasts(generation, expires) then
	return {NOTFOUND}
end
local armed, first, last, time = whole(m[3]), whole(m[4]), whole(m[5]), whole(m[6])
local at = place(m[7])
expires = tonumber(expires)
if first < 1 or first > last + 1 then
	error('DAMAGED')
end
if ARGV[6] ~= '' and ARGV[6] ~= generation then
	return {CONFLICT, last, 1}
end

-- The seqs of events that are stored already; false for the others.
local events, ids = events_key(generation), {}
for i = 1, count do
	ids[i] = '#' .. sub(ARGV[AT + i], 17, 32)
end
local seqs = {}
if count == 1 then
	seqs[1] = call('HGET', events, ids[1])
else
	for from = 1, count, PIECE do
		local found = call('HMGET', events, unpack(ids, from, math.min(from + PIECE - 1, count)))
		for i = 1, #found do
			seqs[from + i - 1] = found[i]
		end
	end
end

-- Number the others.
local now_ms, before = sub(ARGV[1], 1, -4), last
local late = time > tonumber(now_ms) and string.format('%016.0f', time)
local add, n, old, large = {}, 0, {}, false
for i = 1, count do
	if seqs[i] then
		old[i], seqs[i] = true, whole(seqs[i])
	else
		last = last + 1
		local seq, packed = string.format('%.0f', last), ARGV[AT + i]
		if late then
			packed = late .. sub(packed, 17)
		end
		if #packed > LARGE then
			large = seq
		end
		add[n + 1], add[n + 2], add[n + 3], add[n + 4] = seq, packed, ids[i], seq
		n, seqs[i] = n + 4, last
	end
end
local more, grant = AT + count + 1, nil
if ARGV[more] == 'hold' then
	--include hold.lua
	more = more + 6
end
if n == 0 then
	if grant then
		if grant() then
			tell(key)
		end
	else
		-- Who waits for replicas waits for what this connection wrote: it was another one before.
		redis.pcall('HSET', key, 'last', m[5])
	end
	return {0, unpack(seqs)}
end
if ARGV[7] ~= '' and tonumber(ARGV[7]) ~= before then
	return {CONFLICT, before}
end
local changed = false
if ARGV[more] then
	--include pieces.lua
	--include state.lua
	local plans = changes_read(more, generation, old)
	local full = changes_overflow(plans)
	if full then
		return {TOOBIG, full}
	end
	changes_apply(plans)
	changed = plans.s
end

for from = 1, n, PIECE do
	call('HSET', events, unpack(add, from, math.min(from + PIECE - 1, n)))
end
local set = {'last', add[n - 3], 'time', late and time or now_ms}
if large then
	set[5], set[6], set[7], set[8] = 'large', large, 'biggest', 4194304 -- the latter for old programs
end
if limit > 0 and first < math.min(before + 1, last - limit + 1) then
	--include trim.lua
	set[#set + 1] = 'first'
	set[#set + 1] = trim(events, first, math.min(before + 1, last - limit + 1))
end
--include touch.lua
touch(name, generation, expires, armed, ttl, at, before == 0 or changed, set)
if grant then
	grant()
end
tell(key)
return {0, unpack(seqs)}
