-- Not an operation on sessions. KEYS: schema key, scratch key. ARGV: now, our schema, whether the
-- schema may be set, whether this is a cluster.
--
-- Makes sure that the database is ours and that we may use every command: a right that is missing must
-- show here, not in the middle of a script. Answers 0, the schema, '' for none, 1 if we may tell those who
-- watch (tell.lua), else 0, and if a command was refused, its name and the error. Where nothing can be written, for now or on this server, a store
-- that is there can be read.

local call, schema, scratch = redis.pcall, KEYS[1], KEYS[2]
local refused = {}

-- Whether the server does it.
local function try(command, ...)
	local answer = call(command, ...)
	if type(answer) ~= 'table' or not answer.err then
		return true, answer
	end
	refused = {command, answer.err}
	return false
end

local function try_all(commands)
	for _, command in ipairs(commands) do
		if not try(unpack(command)) then
			return false
		end
	end
	return true
end

local function is_passing(err)
	for _, word in ipairs({'READONLY', 'OOM', 'MISCONF', 'NOREPLICAS'}) do
		if string.find(err, word, 1, true) then
			return true
		end
	end
	return false
end

local tells = try('PUBLISH', scratch, '') and 1 or 0 -- may be refused: watchers then have to ask
refused = {}
local readable, found = try('GET', schema)
if not readable then
	return {0, '', tells, unpack(refused)}
end
if not found and ARGV[3] == '1' then
	if not try('SET', schema, ARGV[2]) then
		return {0, '', tells, unpack(refused)}
	end
	found = ARGV[2]
end
local reads = try_all({
	{'TIME'}, {'EXISTS', scratch}, {'PTTL', scratch}, {'STRLEN', scratch},
	{'GETRANGE', scratch, 0, 0}, {'HGET', scratch, 'a'}, {'HMGET', scratch, 'a'},
	{'HGETALL', scratch}, {'HSTRLEN', scratch, 'a'}, {'ZRANGE', scratch, 0, 0},
	{'ZREVRANGE', scratch, 0, 0}, {'ZRANGEBYSCORE', scratch, 0, 0},
	{'ZREVRANGEBYSCORE', scratch, 0, 0},
})
if reads then
	try_all({
		{'HSET', scratch, 'a', 1}, {'HDEL', scratch, 'b'}, {'PEXPIRE', scratch, 60000},
		{'PERSIST', scratch}, {'RENAME', scratch, scratch .. ':2'}, {'UNLINK', scratch .. ':2'},
		{'ZADD', scratch, 1, 'a'}, {'ZREM', scratch, 'a'}, {'UNLINK', scratch},
		{'SET', scratch, 1}, {'SETRANGE', scratch, 0, 'a'}, {'UNLINK', scratch},
	})
end
if not refused[2] and ARGV[4] == '1' then
	try_all({
		{'LRANGE', scratch, 0, 0}, {'RPUSH', scratch, 'a'}, {'LREM', scratch, 1, 'a'}, {'UNLINK', scratch},
	})
end
if refused[2] then
	call('UNLINK', scratch) -- what was made before; it would be of the wrong type next time
end
if refused[2] and found and is_passing(refused[2]) then
	refused = {}
end
return {0, found or '', tells, unpack(refused)}
