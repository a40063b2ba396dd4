-- ARGV: now, bytes of events after which to stop, and sessions: id, generation, first and last seq
--
-- Answers 0, the bytes of the messages of their events, and how far it came: the number of the session
-- and its seq to go on with, 0 and 0 at the end. What is gone meanwhile counts nothing.

--include common.lua

local FIELDS = 34 -- where those of a packed event begin; see event.c
local MESSAGE = 7 -- which of them it is

local budget = tonumber(ARGV[2])
local byte = string.byte

local function message_bytes(packed)
	local at = FIELDS
	for field = 1, MESSAGE do
		local len, unit = 0, 1
		repeat
			local digit = byte(packed, at)
			if not digit then
				error('DAMAGED')
			end
			len, unit, at = len + digit % 128 * unit, unit * 128, at + 1
		until digit < 128
		len = math.max(len - 1, 0)
		if field == MESSAGE then
			return len
		end
		at = at + len
	end
end

-- Answers the bytes of some, and the seq after them.
local function weigh_some(events, at, last)
	local seqs, bytes = {}, 0
	while at <= last and #seqs < 16 do
		seqs[#seqs + 1] = at
		at = at + 1
	end
	for _, packed in ipairs(call('HMGET', events, unpack(seqs))) do
		if packed then
			bytes = bytes + message_bytes(packed)
			budget = budget - #packed
		end
	end
	return bytes, at
end

local total = 0
for i = 3, #ARGV, 4 do
	local m = call('HMGET', session_key(ARGV[i]), 'generation', 'expires')
	local at, last = tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3])
	while lasts(m[1], m[2]) and m[1] == ARGV[i + 1] and at <= last do
		if budget <= 0 then
			return {0, string.format('%.0f', total), (i - 3) / 4, at}
		end
		local bytes
		bytes, at = weigh_some(events_key(m[1]), at, last)
		total = total + bytes
	end
end
return {0, string.format('%.0f', total), 0, 0}
