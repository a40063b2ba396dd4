-- ARGV: now, 'live' or 'trash', the highest position, n, most entries to look at
--
-- Answers 0, whether these are all that were asked for, the position of the last of them, and the
-- sessions. The others stand where they were updated or deleted. Entries of sessions that are over
-- are skipped. A session is its generation, its end, title, created, updated, first and last seq, how
-- much longer it is held, of what it is a fork (session, generation, seq), its id, and in the trash
-- when it was deleted and when it expires.

--include common.lua

local is_live = ARGV[2] == 'live'
local index, key = live, base .. ':s:'
if not is_live then
	index, key = base .. ':trash', base .. ':d:'
end
local n, most = tonumber(ARGV[4]), tonumber(ARGV[5])
local answer, count, over, last = {0, 1, false}, 3, {}, nil

-- Look at `from` and what follows. Answers whether there may be more.
local function look(from, steps)
	local entries = call('ZREVRANGEBYSCORE', index, ARGV[3], '-inf', 'LIMIT', from, steps)
	for i = 1, #entries do
		local member = entries[i]
		local m
		if is_live then
			m = call('HMGET', key .. member, 'generation', 'expires', 'title', 'created',
				'updated', 'first', 'last', 'held', 'fork', 'fork_generation', 'fork_seq')
		else
			m = call('HMGET', key .. member, 'generation', 'until', 'title', 'created',
				'updated', 'first', 'last', 'held', 'fork', 'fork_generation', 'fork_seq',
				'session', 'deleted', 'expires')
		end
		if lasts(m[1], m[2]) then
			if is_live then
				m[12] = member
			end
			m[8] = held_left(m[8])
			count, last = count + 1, from + i - 1
			answer[count] = m
			if count == n + 3 then
				return false
			end
		else
			over[#over + 1] = {member, m[1], m[12]}
		end
	end
	return #entries == steps
end

if look(0, n) then
	answer[2] = look(n, most) and 0 or 1
end
if last then
	answer[3] = call('ZREVRANGEBYSCORE', index, ARGV[3], '-inf', 'WITHSCORES', 'LIMIT', last, 1)[2]
end
if #over > 0 then
	-- A replica does not let go of them; that is no reason not to list the others.
	local call = redis.pcall
	--include trash.lua
	for _, one in ipairs(over) do
		if is_live then
			discard(one[1], one[2])
		else
			discard_deleted(one[3], one[1])
		end
	end
end
return answer
