-- What all scripts share; it is put in front of each. A script is one atomic operation.
--
-- KEYS[1] is the user's key, "convo:{app:user}": it holds the user's state, and with ":..." added
-- it names all else of the user, in the same slot. KEYS[2] is the app's key, "convo:{app}".
-- ARGV[1] is the time in µs. It comes from the caller and decides what has expired; the expiry of
-- keys only collects what is over, never earlier. docs/backends/redis.md tells what each key holds.
--
-- A script answers with a list that begins with 0 or the number of an enum convo_code.

local TOOBIG, NOTFOUND, EXISTS, CONFLICT = -3, -4, -5, -6
local MAX_STATE = 4194304 -- bytes of one scope
local GRACE = 60000 -- ms that a key outlives what it holds, for clocks that differ
local PIECE = 1000 -- most items of one command: unpack() has a limit near 8000

local call = redis.call
local base, app = KEYS[1], KEYS[2]
local now = tonumber(ARGV[1])
local live, trash, due = base .. ':live', base .. ':trash', base .. ':due'

local function session_key(name)
	return base .. ':s:' .. name
end

local function deleted_key(generation)
	return base .. ':d:' .. generation
end

local function deaths_key(name)
	return base .. ':t:' .. name
end

local function events_key(generation)
	return base .. ':e:' .. generation
end

local function state_key(generation)
	return base .. ':v:' .. generation
end

-- Call a command with a key and any number of arguments, in groups of `group` that stay together.
local function call_pieces(command, key, args, group)
	local step = math.floor(PIECE / group) * group
	for first = 1, #args, step do
		call(command, key, unpack(args, first, math.min(first + step - 1, #args)))
	end
end

-- Lifetimes -----------------------------------------------------------------------------------

-- Whether a session or deleted session exists whose time is up at `ends`, 0 for never.
local function lasts(generation, ends)
	return generation and (tonumber(ends) == 0 or tonumber(ends) > now)
end

local function grace_ms(ends)
	return math.max(math.floor((ends - now) / 1000), 0) + GRACE
end

-- Let the parts of a session go together.
local function expire_parts(key, generation, ends)
	for _, part in ipairs({key, events_key(generation), state_key(generation)}) do
		if ends > 0 then
			call('PEXPIRE', part, grace_ms(ends))
		else
			call('PERSIST', part)
		end
	end
end

-- Put a member into an index, which lasts as long as the last of its members.
local function index_add(index, score, member, ends)
	local left = call('PTTL', index) -- -1: for ever; -2: the index is new
	call('ZADD', index, score, member)
	if ends == 0 then
		if left >= 0 then
			call('PERSIST', index)
		end
	elseif left ~= -1 and left < grace_ms(ends) then
		call('PEXPIRE', index, grace_ms(ends))
	end
end

-- A place at the front of an index that no other member has.
local function front(index)
	local top = call('ZREVRANGE', index, 0, 0, 'WITHSCORES')
	if top[2] and tonumber(top[2]) >= now then
		return tonumber(top[2]) + 1
	end
	return now
end

-- Forget a session, whose hash may be gone already (then its parts are too).
local function discard(name, generation)
	if generation then
		call('UNLINK', session_key(name), events_key(generation), state_key(generation))
	end
	call('ZREM', live, name)
	call('ZREM', due, 's:' .. name)
end

-- Take a deleted session out of the indexes. Without its name, its entry under the name stays
-- until that index goes.
local function leave_trash(name, generation)
	call('ZREM', trash, generation)
	call('ZREM', due, 'd:' .. generation)
	if name then
		call('ZREM', deaths_key(name), generation)
	end
end

local function discard_deleted(name, generation)
	call('UNLINK', deleted_key(generation), events_key(generation), state_key(generation))
	leave_trash(name, generation)
end

-- A write was made: the session moves to the front and, with a ttl, lives longer. Further fields
-- and values of its hash may follow.
local function touch(name, generation, expires, ttl, ...)
	local ends = ttl > 0 and now + ttl or expires
	local key = session_key(name)
	call('HSET', key, 'updated', now, 'expires', ends, ...)
	index_add(live, front(live), name, ends)
	if ends > 0 then
		expire_parts(key, generation, ends)
		if expires == 0 then
			index_add(due, ends, 's:' .. name, ends)
		end
	end
end

-- State ---------------------------------------------------------------------------------------

-- A scope is a hash of name to JSON; its empty name holds the bytes of all names and values.

-- Collect the changes at ARGV[at]: their number, and for each the event it came with, its scope,
-- name and value, which is empty to remove the name. Those of events in `skip` do not count; of
-- several for a name the last does.
local function changes_read(at, generation, skip)
	local keys = {s = generation and state_key(generation), u = base, a = app}
	local plans = {}
	for i = at + 1, at + 4 * tonumber(ARGV[at]), 4 do
		local scope, name = ARGV[i + 1], ARGV[i + 2]
		if not skip or not skip[tonumber(ARGV[i]) + 1] then
			local plan = plans[scope]
			if not plan then
				plan = {key = keys[scope], names = {}, value = {}}
				plans[scope] = plan
			end
			if not plan.value[name] then
				table.insert(plan.names, name)
			end
			plan.value[name] = ARGV[i + 3]
		end
	end
	return plans
end

-- Work out the bytes of each scope. Answers the scope that would be too big, if any; nothing is
-- written yet.
local function changes_overflow(plans)
	for scope, plan in pairs(plans) do
		local total = tonumber(call('HGET', plan.key, '') or 0)
		for _, name in ipairs(plan.names) do
			local old, new = call('HSTRLEN', plan.key, name), #plan.value[name]
			total = total - (old > 0 and #name + old or 0) + (new > 0 and #name + new or 0)
		end
		plan.total = total
		if total > MAX_STATE then
			return scope
		end
	end
	return nil
end

local function changes_apply(plans)
	for _, plan in pairs(plans) do
		local set, gone = {}, {}
		for _, name in ipairs(plan.names) do
			if plan.value[name] ~= '' then
				table.insert(set, name)
				table.insert(set, plan.value[name])
			else
				table.insert(gone, name)
			end
		end
		call_pieces('HSET', plan.key, set, 2)
		call_pieces('HDEL', plan.key, gone, 1)
		if plan.total > 0 then
			call('HSET', plan.key, '', plan.total)
		else
			call('UNLINK', plan.key)
		end
	end
end
