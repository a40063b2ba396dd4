-- What all scripts share. Each is one atomic operation.
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
local live = base .. ':live'

local function session_key(name)
	return base .. ':s:' .. name
end

local function events_key(generation)
	return base .. ':e:' .. generation
end

local function state_key(generation)
	return base .. ':v:' .. generation
end

-- Call a command with a key and any number of arguments, in groups of `group` that stay together.
local function call_pieces(command, key, args, group)
	if #args > 0 and #args <= PIECE then
		call(command, key, unpack(args))
		return
	end
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
	local ms = grace_ms(ends)
	call('PEXPIRE', key, ms)
	call('PEXPIRE', events_key(generation), ms)
	call('PEXPIRE', state_key(generation), ms)
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
	return ARGV[1] -- text costs less to pass on than a number
end

-- A write was made: the session moves to the front and, with a ttl, lives longer. `m` has the
-- generation, expires and armed of its hash, `set` further fields and values for it; `fresh` tells
-- that a part of it may be new.
--
-- Its keys get a new expiry only when half of their grace is used up, which `armed` tells, or when
-- clocks differ; so a busy session does not pay for that at every write.
local function touch(name, m, ttl, fresh, set)
	local key, expires = session_key(name), tonumber(m[2])
	local ends = ttl > 0 and now + ttl or expires
	local arm = fresh or ends > tonumber(m[3]) or ends < expires
	local at, n = front(live), #set
	set[n + 1], set[n + 2] = 'updated', ARGV[1]
	if ends ~= expires then
		set[n + 3], set[n + 4] = 'expires', ends
	end
	if arm and ends > 0 then
		set[n + 5], set[n + 6] = 'armed', ends + GRACE * 500
		set[n + 3], set[n + 4] = 'expires', ends
	end
	call('HSET', key, unpack(set))
	if not arm then
		call('ZADD', live, at, name)
		return
	end
	index_add(live, at, name, ends)
	if ends > 0 then
		expire_parts(key, m[1], ends)
		index_add(base .. ':due', ends, 's:' .. name, ends)
	end
end
