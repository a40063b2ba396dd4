-- What all scripts share. Each is one atomic operation.
--
-- KEYS[1] is the user's key, "convo:{app:user}": it holds the user's state, and with ":..." added
-- it names all else of the user, in the same slot. KEYS[2] is the app's key, "convo:{app}".
--
-- In a cluster that one is in another slot. There the last of KEYS is one that never exists,
-- "convo:{app:user}:none". While a slot moves from node to node, a server runs a script if all the keys
-- that it is told of are there, and lets it see nothing of the rest, which may be many. Told of a key
-- that is nowhere it says TRYAGAIN until the slot is in one place.
-- ARGV[1] is the time in µs. It comes from the caller and decides what has expired; the expiry of
-- keys only collects what is over, never earlier. docs/backends/redis.md tells what each key holds.
--
-- A script answers with a list that begins with 0, IN_THE_WAY or the number of an enum convo_code. It looks at
-- what it reads before it writes: a script that fails takes nothing back.

local TOOBIG, NOTFOUND, EXISTS, CONFLICT, BUSY = -3, -4, -5, -6, -17
local IN_THE_WAY = 1 -- a draft is, or it is not the one that was meant
local MAX_STATE = 4194304 -- bytes of one scope
local MAX_WHOLE = 9e15 -- larger numbers lose digits
local LARGE = 16384 -- bytes of an event that loads have to beware of
local PIECE = 1000 -- most items of one command: unpack() has a limit near 8000

local call = redis.call
local base, now = KEYS[1], tonumber(ARGV[1])
local app = string.sub(KEYS[2], -1) == '}' and KEYS[2] -- false where it is apart
local live = base .. ':live'

-- The number in what is stored. Nothing else may be there.
local function whole(text)
	local number = tonumber(text)
	if number and number >= 0 and number < MAX_WHOLE and number % 1 == 0 then
		return number
	end
	error('DAMAGED')
end

local function session_key(name)
	return base .. ':s:' .. name
end

local function events_key(generation)
	return base .. ':e:' .. generation
end

local function state_key(generation)
	return base .. ':v:' .. generation
end

local function draft_key(generation)
	return base .. ':a:' .. generation
end

-- Whether a session or deleted session exists whose time is up at `ends`, 0 for never.
local function lasts(generation, ends)
	if not generation and not ends then
		return false
	end
	local at = whole(ends)
	if not generation or #generation ~= 36 then
		error('DAMAGED')
	end
	return at == 0 or at > now
end

-- The server's own time in µs, which leases count by.
local function clock()
	local time = call('TIME')
	return time[1] * 1000000 + time[2]
end

-- How much longer a lease lasts that holds until then.
local function held_left(held)
	local ends = whole(held or 0)
	return ends > 0 and math.max(ends - clock(), 0) or 0
end

-- Where a session stands in its list once it is written to that was updated at `updated`: it never
-- goes back, whatever the clocks say.
local function place(updated)
	updated = whole(updated)
	return updated > now and updated or ARGV[1] -- text costs less to pass on than a number
end
