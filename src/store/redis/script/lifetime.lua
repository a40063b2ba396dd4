-- What scripts share that decide how long keys live.

local GRACE = 60000 -- ms that a key outlives what it holds, for clocks that differ

local function grace_ms(ends)
	return math.max(math.floor((ends - now) / 1000), 0) + GRACE
end

-- Let the parts of a session go together.
local function expire_parts(key, generation, ends)
	local ms = grace_ms(ends)
	call('PEXPIRE', key, ms)
	call('PEXPIRE', events_key(generation), ms)
	call('PEXPIRE', state_key(generation), ms)
	call('PEXPIRE', draft_key(generation), ms)
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

-- Move a session to the front that ends at `ends`, 0 for never, and see to its keys.
local function index_session(name, generation, at, ends)
	index_add(live, at, name, ends)
	if ends > 0 then
		expire_parts(session_key(name), generation, ends)
		index_add(base .. ':due', ends, 's:' .. name, ends)
	end
end
