-- Remove the oldest events from `from` up to, not including, `keep`; or fewer, where they are many.
local function trim(events, from, keep)
	local gone = {}
	keep = math.min(keep, from + 10000)
	for at = from, keep - 1, PIECE do
		local seqs = {}
		for seq = at, math.min(at + PIECE, keep) - 1 do
			seqs[#seqs + 1] = seq
		end
		for i, packed in ipairs(call('HMGET', events, unpack(seqs))) do
			gone[#gone + 1] = seqs[i]
			if packed then
				gone[#gone + 1] = '#' .. string.sub(packed, 17, 32)
			end
		end
		for i = 1, #gone, PIECE do
			call('HDEL', events, unpack(gone, i, math.min(i + PIECE - 1, #gone)))
		end
		gone = {}
	end
	return keep
end
