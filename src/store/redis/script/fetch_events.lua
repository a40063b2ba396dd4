-- Add lists of the packed events from seq `at` to `high` to an answer, until they are `budget` bytes.
-- Answers the first seq that is not among them. It ends where an event is missing, for then no other
-- counts.
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
		answer[#answer + 1] = packed
		for i = 1, #packed do
			if not packed[i] then
				return at
			end
			budget = budget - #packed[i]
		end
	end
	return at
end
