-- Not an operation on sessions. KEYS: schema key, scratch key. ARGV: now, our schema, whether the
-- schema may be set.
--
-- Makes sure that the database is ours and that we may use every command that writes: a right that
-- is missing must show here, not in the middle of a script. Answers 0 and the schema, '' for none.

--include common.lua

local schema, scratch = KEYS[1], KEYS[2]
local found = call('GET', schema)
if not found and ARGV[3] == '1' then
	call('SET', schema, ARGV[2])
	found = ARGV[2]
end
call('HSET', scratch, 'a', 1)
call('HDEL', scratch, 'b')
call('PEXPIRE', scratch, GRACE)
call('PERSIST', scratch)
call('RENAME', scratch, scratch .. ':2')
call('UNLINK', scratch .. ':2')
call('ZADD', scratch, 1, 'a')
call('ZREM', scratch, 'a')
call('UNLINK', scratch)
return {0, found or ''}
