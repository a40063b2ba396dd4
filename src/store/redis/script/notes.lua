-- In a cluster. ARGV: now, how many at most
--
-- Answers 0 and what is noted beside the user of the app's state, oldest first; see state.lua.

--include common.lua

return {0, call('LRANGE', base .. ':notes', 0, ARGV[2] - 1)}
