-- In a cluster. ARGV: now, bytes after which to stop
--
-- Answers 0, whether there are more, and what is noted beside the user of the app's state, oldest
-- first; see state.lua.

--include common.lua

local answer, bytes = {0, 0}, 0
while true do
	local note = call('LRANGE', base .. ':notes', #answer - 2, #answer - 2)[1]
	if not note then
		return answer
	end
	if bytes > tonumber(ARGV[2]) or #answer > PIECE then
		answer[2] = 1
		return answer
	end
	table.insert(answer, note)
	bytes = bytes + #note
end
