-- In a cluster. ARGV: now, how long (ms)
--
-- Somebody watches sessions of the user for so long; see tell.lua.

--include common.lua

call('SET', base .. ':ears', 1, 'PX', ARGV[2])
return {0}
