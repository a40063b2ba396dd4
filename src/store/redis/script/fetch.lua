-- ARGV: now, generation, the seqs of the first and last event, the last large one, bytes after which
-- to stop
--
-- Answers 0, the first seq that is not in this answer, and lists of packed events.

--include common.lua
--include fetch_events.lua

local answer = {0, 0}
answer[2] = fetch_events(answer, events_key(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]),
	tonumber(ARGV[5]), tonumber(ARGV[6]))
return answer
