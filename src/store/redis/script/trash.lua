-- What scripts share that end sessions or deal with ended ones.

local trash, due = base .. ':trash', base .. ':due'

local function deleted_key(generation)
	return base .. ':d:' .. generation
end

local function deaths_key(name)
	return base .. ':t:' .. name
end

-- A place at the front of the trash that no other member has: walks rest on that.
local function trash_front()
	local top = call('ZREVRANGE', trash, 0, 0, 'WITHSCORES')[2]
	if top and tonumber(top) >= now then
		return whole(top) + 1
	end
	return now
end

-- Forget a session, whose hash may be gone already (then its parts are too).
local function discard(name, generation)
	if generation then
		call('UNLINK', session_key(name), events_key(generation), state_key(generation),
			draft_key(generation))
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
	call('UNLINK', deleted_key(generation), events_key(generation), state_key(generation),
		draft_key(generation))
	leave_trash(name, generation)
end
