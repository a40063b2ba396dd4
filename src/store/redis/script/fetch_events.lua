-- Add lists of the packed events from seq `at` to `high` to an answer, until they are `budget` bytes.
-- Answers the first seq that is not among them.
--
-- A command fetches at most a MiB, or a single event, so that the answer stays in bounds: events after
-- the last large one are not large, the others are measured.
local function fetch_events(answer, events, at, high, large, budget)
	while at <= high and budget > 0 do
		local seqs, room = {}, 1048576
		while at <= high and room > 0 and #seqs < PIECE do
			seqs[#seqs + 1] = at
			room = room - (at > large and LARGE or call('HSTRLEN', events, at))
			at = at + 1
		end
		local packed = call('HMGET', events, unpack(seqs))
		for i = 1, #packed do
			budget = budget - (packed[i] and #packed[i] or 0)
		end
		answer[#answer + 1] = packed
	end
	return at
end
