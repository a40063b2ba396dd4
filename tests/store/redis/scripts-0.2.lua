-- The scripts of convo 0.2, as its programs run them: redis-cli --eval FILE KEYS , NAME ARGV. In an argument
-- %00 stands for a byte that a shell does not pass on.
local script = {}

function script.create()
	local TOOBIG, NOTFOUND, EXISTS, CONFLICT = -3, -4, -5, -6
	local MAX_STATE = 4194304 -- bytes of one scope
	local MAX_WHOLE = 9e15 -- larger numbers lose digits
	local LARGE = 16384 -- bytes of an event that loads have to beware of
	local PIECE = 1000 -- most items of one command: unpack() has a limit near 8000
	local call = redis.call
	local base, now = KEYS[1], tonumber(ARGV[1])
	local app = string.sub(KEYS[2], -1) == '}' and KEYS[2] -- false where it is apart
	local live = base .. ':live'
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
	local function place(updated)
		updated = whole(updated)
		return updated > now and updated or ARGV[1] -- text costs less to pass on than a number
	end
	local function call_pieces(command, key, args, group)
		local step = math.floor(PIECE / group) * group
		for first = 1, #args, step do
			call(command, key, unpack(args, first, math.min(first + step - 1, #args)))
		end
	end
	local function changes_read(at, generation, skip)
		local keys = {s = generation and state_key(generation), u = base, a = app}
		local plans, last = {}, at + 4 * tonumber(ARGV[at] or 0)
		for i = at + 1, last, 4 do
			local scope, name = ARGV[i + 1], ARGV[i + 2]
			if not skip[tonumber(ARGV[i]) + 1] then
				local plan = plans[scope]
				if not plan then
					plan = {key = keys[scope], names = {}, value = {}, after = ARGV[last + 1]}
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
	local function changes_overflow(plans)
		local full
		for scope, plan in pairs(plans) do
			local total = plan.key and whole(call('HGET', plan.key, '') or 0) or 0
			for _, name in ipairs(plan.key and plan.names or {}) do
				local old, new = call('HSTRLEN', plan.key, name), #plan.value[name]
				total = total - (old > 0 and #name + old or 0) + (new > 0 and #name + new or 0)
			end
			plan.total = total
			if total > MAX_STATE then
				full = scope
			end
		end
		return full
	end
	local function change_apply(plan)
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
	local function change_note(plan)
		local time, last = call('TIME'), base .. ':noted'
		local number = math.max(time[1] * 1000000 + time[2], whole(call('GET', last) or 0) + 1,
			whole(plan.after) + 1)
		local note = {number}
		for _, name in ipairs(plan.names) do
			table.insert(note, name)
			table.insert(note, plan.value[name])
		end
		call('RPUSH', base .. ':notes', cmsgpack.pack(note))
		call('SET', last, string.format('%.0f', number), 'PX', 86400000)
	end
	local function changes_apply(plans)
		for _, plan in pairs(plans) do
			if plan.key then
				change_apply(plan)
			else
				change_note(plan)
			end
		end
	end
	local function touch(name, generation, expires, armed, ttl, at, fresh, set)
		local ends = ttl > 0 and math.min(now + ttl, MAX_WHOLE - 1) or expires
		local arm = fresh or ends > armed or ends < expires
		local n = #set
		set[n + 1], set[n + 2] = 'updated', at
		if ends ~= expires then
			set[n + 3], set[n + 4] = 'expires', ends
		end
		if arm and ends > 0 then
			set[n + 3], set[n + 4] = 'expires', ends
			set[n + 5], set[n + 6] = 'armed', ends + 30000000
		end
		call('HSET', session_key(name), unpack(set))
		if not arm then
			call('ZADD', live, at, name)
			return
		end
		local GRACE = 60000 -- ms that a key outlives what it holds, for clocks that differ
		local function grace_ms(ends)
			return math.max(math.floor((ends - now) / 1000), 0) + GRACE
		end
		local function expire_parts(key, generation, ends)
			local ms = grace_ms(ends)
			call('PEXPIRE', key, ms)
			call('PEXPIRE', events_key(generation), ms)
			call('PEXPIRE', state_key(generation), ms)
		end
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
		local function index_session(name, generation, at, ends)
			index_add(live, at, name, ends)
			if ends > 0 then
				expire_parts(session_key(name), generation, ends)
				index_add(base .. ':due', ends, 's:' .. name, ends)
			end
		end
		index_session(name, generation, at, ends)
	end
	local trash, due = base .. ':trash', base .. ':due'
	local function deleted_key(generation)
		return base .. ':d:' .. generation
	end
	local function deaths_key(name)
		return base .. ':t:' .. name
	end
	local function trash_front()
		local top = call('ZREVRANGE', trash, 0, 0, 'WITHSCORES')[2]
		if top and tonumber(top) >= now then
			return whole(top) + 1
		end
		return now
	end
	local function discard(name, generation)
		if generation then
			call('UNLINK', session_key(name), events_key(generation), state_key(generation))
		end
		call('ZREM', live, name)
		call('ZREM', due, 's:' .. name)
	end
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
	local GRACE = 60000 -- ms that a key outlives what it holds, for clocks that differ
	local function grace_ms(ends)
		return math.max(math.floor((ends - now) / 1000), 0) + GRACE
	end
	local function expire_parts(key, generation, ends)
		local ms = grace_ms(ends)
		call('PEXPIRE', key, ms)
		call('PEXPIRE', events_key(generation), ms)
		call('PEXPIRE', state_key(generation), ms)
	end
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
	local function index_session(name, generation, at, ends)
		index_add(live, at, name, ends)
		if ends > 0 then
			expire_parts(session_key(name), generation, ends)
			index_add(base .. ':due', ends, 's:' .. name, ends)
		end
	end
	local name, ttl, generation = ARGV[2], tonumber(ARGV[3]), ARGV[4]
	local key = session_key(name)
	local function sweep()
		for _, member in ipairs(call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, 10)) do
			local id = string.sub(member, 3)
			local is_live = string.sub(member, 1, 1) == 's'
			local found = call('HMGET', is_live and session_key(id) or deleted_key(id),
				'generation', is_live and 'expires' or 'until', 'session')
			local ends = tonumber(found[2])
			if not ends or ends > 0 and ends <= now then
				if is_live then
					discard(id, found[1])
				else
					discard_deleted(found[3], id)
				end
			elseif ends > 0 then
				index_add(due, ends, member, ends)
			else
				call('ZREM', due, member)
			end
		end
	end
	local old = call('HMGET', key, 'generation', 'expires')
	if lasts(old[1], old[2]) then
		if old[1] == generation then
			redis.pcall('HSET', key, 'generation', generation) -- for who waits for replicas; see append.lua
		end
		return {EXISTS, old[1]}
	end
	if call('EXISTS', deleted_key(generation)) == 1 then
		return {0}
	end
	local plans = changes_read(6, generation, {})
	local full = changes_overflow(plans)
	if full then
		return {TOOBIG, full}
	end
	discard(name, old[1])
	call('HSET', key, 'generation', generation, 'title', ARGV[5], 'created', now, 'first', 1,
		'last', 0, 'time', 0, 'biggest', 1, 'expires', 0, 'armed', 0)
	changes_apply(plans)
	touch(name, generation, 0, 0, ttl, ARGV[1], true, {})
	sweep()
	return {0}
end

function script.append()
	local TOOBIG, NOTFOUND, EXISTS, CONFLICT = -3, -4, -5, -6
	local MAX_STATE = 4194304 -- bytes of one scope
	local MAX_WHOLE = 9e15 -- larger numbers lose digits
	local LARGE = 16384 -- bytes of an event that loads have to beware of
	local PIECE = 1000 -- most items of one command: unpack() has a limit near 8000
	local call = redis.call
	local base, now = KEYS[1], tonumber(ARGV[1])
	local app = string.sub(KEYS[2], -1) == '}' and KEYS[2] -- false where it is apart
	local live = base .. ':live'
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
	local function place(updated)
		updated = whole(updated)
		return updated > now and updated or ARGV[1] -- text costs less to pass on than a number
	end
	local name, ttl, limit, count = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[7])
	local AT = 7 -- before the first event
	local sub, key = string.sub, session_key(ARGV[2])
	local m = call('HMGET', key, 'generation', 'expires', 'armed', 'first', 'last', 'time', 'updated')
	local generation, expires = m[1], m[2]
	if not lasts(generation, expires) then
		return {NOTFOUND}
	end
	local armed, first, last, time = whole(m[3]), whole(m[4]), whole(m[5]), whole(m[6])
	local at = place(m[7])
	expires = tonumber(expires)
	if first < 1 or first > last + 1 then
		error('DAMAGED')
	end
	if ARGV[5] ~= '' and ARGV[5] ~= generation then
		return {CONFLICT, last, 1}
	end
	local events, ids = events_key(generation), {}
	for i = 1, count do
		ids[i] = '#' .. sub(ARGV[AT + i], 17, 32)
	end
	local seqs = {}
	if count == 1 then
		seqs[1] = call('HGET', events, ids[1])
	else
		for from = 1, count, PIECE do
			local found = call('HMGET', events, unpack(ids, from, math.min(from + PIECE - 1, count)))
			for i = 1, #found do
				seqs[from + i - 1] = found[i]
			end
		end
	end
	local now_ms, before = sub(ARGV[1], 1, -4), last
	local late = time > tonumber(now_ms) and string.format('%016.0f', time)
	local add, n, old, large = {}, 0, {}, false
	for i = 1, count do
		if seqs[i] then
			old[i], seqs[i] = true, whole(seqs[i])
		else
			last = last + 1
			local seq, packed = string.format('%.0f', last), ARGV[AT + i]
			if late then
				packed = late .. sub(packed, 17)
			end
			if #packed > LARGE then
				large = seq
			end
			add[n + 1], add[n + 2], add[n + 3], add[n + 4] = seq, packed, ids[i], seq
			n, seqs[i] = n + 4, last
		end
	end
	if n == 0 then
		redis.pcall('HSET', key, 'last', m[5])
		return {0, unpack(seqs)}
	end
	if ARGV[6] ~= '' and tonumber(ARGV[6]) ~= before then
		return {CONFLICT, before}
	end
	local changed = false
	if ARGV[AT + count + 1] then
		local function call_pieces(command, key, args, group)
			local step = math.floor(PIECE / group) * group
			for first = 1, #args, step do
				call(command, key, unpack(args, first, math.min(first + step - 1, #args)))
			end
		end
		local function changes_read(at, generation, skip)
			local keys = {s = generation and state_key(generation), u = base, a = app}
			local plans, last = {}, at + 4 * tonumber(ARGV[at] or 0)
			for i = at + 1, last, 4 do
				local scope, name = ARGV[i + 1], ARGV[i + 2]
				if not skip[tonumber(ARGV[i]) + 1] then
					local plan = plans[scope]
					if not plan then
						plan = {key = keys[scope], names = {}, value = {}, after = ARGV[last + 1]}
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
		local function changes_overflow(plans)
			local full
			for scope, plan in pairs(plans) do
				local total = plan.key and whole(call('HGET', plan.key, '') or 0) or 0
				for _, name in ipairs(plan.key and plan.names or {}) do
					local old, new = call('HSTRLEN', plan.key, name), #plan.value[name]
					total = total - (old > 0 and #name + old or 0) + (new > 0 and #name + new or 0)
				end
				plan.total = total
				if total > MAX_STATE then
					full = scope
				end
			end
			return full
		end
		local function change_apply(plan)
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
		local function change_note(plan)
			local time, last = call('TIME'), base .. ':noted'
			local number = math.max(time[1] * 1000000 + time[2], whole(call('GET', last) or 0) + 1,
				whole(plan.after) + 1)
			local note = {number}
			for _, name in ipairs(plan.names) do
				table.insert(note, name)
				table.insert(note, plan.value[name])
			end
			call('RPUSH', base .. ':notes', cmsgpack.pack(note))
			call('SET', last, string.format('%.0f', number), 'PX', 86400000)
		end
		local function changes_apply(plans)
			for _, plan in pairs(plans) do
				if plan.key then
					change_apply(plan)
				else
					change_note(plan)
				end
			end
		end
		local plans = changes_read(AT + count + 1, generation, old)
		local full = changes_overflow(plans)
		if full then
			return {TOOBIG, full}
		end
		changes_apply(plans)
		changed = plans.s
	end
	for from = 1, n, PIECE do
		call('HSET', events, unpack(add, from, math.min(from + PIECE - 1, n)))
	end
	local set = {'last', add[n - 3], 'time', late and time or now_ms}
	if large then
		set[5], set[6], set[7], set[8] = 'large', large, 'biggest', 4194304 -- the latter for old programs
	end
	if limit > 0 and first < math.min(before + 1, last - limit + 1) then
		local function trim(events, from, keep)
			local gone = {}
			keep = math.min(keep, from + 10000)
			for at = from, keep - 1, PIECE do
				local seqs = {}
				for seq = at, math.min(at + PIECE, keep) - 1 do
					seqs[#seqs + 1] = seq
				end
				for i, packed in ipairs(call('HMGET', events, unpack(seqs))) do
					gone[#gone + 1] = seqs[i]
					if packed then
						gone[#gone + 1] = '#' .. string.sub(packed, 17, 32)
					end
				end
				for i = 1, #gone, PIECE do
					call('HDEL', events, unpack(gone, i, math.min(i + PIECE - 1, #gone)))
				end
				gone = {}
			end
			return keep
		end
		set[#set + 1] = 'first'
		set[#set + 1] = trim(events, first, math.min(before + 1, last - limit + 1))
	end
	local function touch(name, generation, expires, armed, ttl, at, fresh, set)
		local ends = ttl > 0 and math.min(now + ttl, MAX_WHOLE - 1) or expires
		local arm = fresh or ends > armed or ends < expires
		local n = #set
		set[n + 1], set[n + 2] = 'updated', at
		if ends ~= expires then
			set[n + 3], set[n + 4] = 'expires', ends
		end
		if arm and ends > 0 then
			set[n + 3], set[n + 4] = 'expires', ends
			set[n + 5], set[n + 6] = 'armed', ends + 30000000
		end
		call('HSET', session_key(name), unpack(set))
		if not arm then
			call('ZADD', live, at, name)
			return
		end
		local GRACE = 60000 -- ms that a key outlives what it holds, for clocks that differ
		local function grace_ms(ends)
			return math.max(math.floor((ends - now) / 1000), 0) + GRACE
		end
		local function expire_parts(key, generation, ends)
			local ms = grace_ms(ends)
			call('PEXPIRE', key, ms)
			call('PEXPIRE', events_key(generation), ms)
			call('PEXPIRE', state_key(generation), ms)
		end
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
		local function index_session(name, generation, at, ends)
			index_add(live, at, name, ends)
			if ends > 0 then
				expire_parts(session_key(name), generation, ends)
				index_add(base .. ':due', ends, 's:' .. name, ends)
			end
		end
		index_session(name, generation, at, ends)
	end
	touch(name, generation, expires, armed, ttl, at, before == 0 or changed, set)
	return {0, unpack(seqs)}
end

function script.load()
	local TOOBIG, NOTFOUND, EXISTS, CONFLICT = -3, -4, -5, -6
	local MAX_STATE = 4194304 -- bytes of one scope
	local MAX_WHOLE = 9e15 -- larger numbers lose digits
	local LARGE = 16384 -- bytes of an event that loads have to beware of
	local PIECE = 1000 -- most items of one command: unpack() has a limit near 8000
	local call = redis.call
	local base, now = KEYS[1], tonumber(ARGV[1])
	local app = string.sub(KEYS[2], -1) == '}' and KEYS[2] -- false where it is apart
	local live = base .. ':live'
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
	local function place(updated)
		updated = whole(updated)
		return updated > now and updated or ARGV[1] -- text costs less to pass on than a number
	end
	local function fetch_events(answer, events, at, high, large, budget)
		while at <= high and budget > 0 do
			local seqs, room = {}, 1048576
			while at <= high and room > 0 and #seqs < PIECE do
				seqs[#seqs + 1] = at
				room = room - (at > large and LARGE or call('HSTRLEN', events, at))
				at = at + 1
			end
			local packed = call('HMGET', events, unpack(seqs))
			answer[#answer + 1] = packed
			for i = 1, #packed do
				if not packed[i] then
					return at
				end
				budget = budget - #packed[i]
			end
		end
		return at
	end
	local window, n, seq, limit = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[7])
	local m = call('HMGET', session_key(ARGV[2]), 'generation', 'expires', 'title', 'created',
		'updated', 'first', 'last', 'biggest', 'large')
	if not lasts(m[1], m[2]) then
		return {NOTFOUND}
	end
	local events = events_key(m[1])
	local first, last = whole(m[6]), whole(m[7])
	local large = m[9] and whole(m[9]) or whole(m[8]) > LARGE and last or 0
	m[8], m[9] = nil, nil
	if limit > 0 and last - limit + 1 > first then
		first = last - limit + 1
		m[6] = string.format('%.0f', first)
	end
	local low, high = first, last
	if window == 'last' then
		low = math.max(first, last - n + 1)
	elseif window == 'after' then
		low = math.max(first, seq + 1)
		high = math.min(last, low + n - 1)
	elseif window == 'before' then
		high = math.min(last, seq - 1)
		low = math.max(first, high - n + 1)
	elseif window == 'around' then
		local at = whole(call('HGET', events, ARGV[6]) or 0)
		if at < first then
			return {NOTFOUND, 1}
		end
		local after = math.floor((n - 1) / 2)
		high = math.min(last, at + after)
		low = math.max(first, at - (n - 1 - after))
	else
		high = low - 1
	end
	local answer = {0, m, call('HGETALL', state_key(m[1])), call('HGETALL', base),
		app and call('HGETALL', app) or call('LRANGE', base .. ':notes', 0, 0), low, high, low,
		large}
	answer[8] = fetch_events(answer, events, low, high, large, tonumber(ARGV[8]))
	return answer
end

function script.delete()
	local TOOBIG, NOTFOUND, EXISTS, CONFLICT = -3, -4, -5, -6
	local MAX_STATE = 4194304 -- bytes of one scope
	local MAX_WHOLE = 9e15 -- larger numbers lose digits
	local LARGE = 16384 -- bytes of an event that loads have to beware of
	local PIECE = 1000 -- most items of one command: unpack() has a limit near 8000
	local call = redis.call
	local base, now = KEYS[1], tonumber(ARGV[1])
	local app = string.sub(KEYS[2], -1) == '}' and KEYS[2] -- false where it is apart
	local live = base .. ':live'
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
	local function place(updated)
		updated = whole(updated)
		return updated > now and updated or ARGV[1] -- text costs less to pass on than a number
	end
	local trash, due = base .. ':trash', base .. ':due'
	local function deleted_key(generation)
		return base .. ':d:' .. generation
	end
	local function deaths_key(name)
		return base .. ':t:' .. name
	end
	local function trash_front()
		local top = call('ZREVRANGE', trash, 0, 0, 'WITHSCORES')[2]
		if top and tonumber(top) >= now then
			return whole(top) + 1
		end
		return now
	end
	local function discard(name, generation)
		if generation then
			call('UNLINK', session_key(name), events_key(generation), state_key(generation))
		end
		call('ZREM', live, name)
		call('ZREM', due, 's:' .. name)
	end
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
	local GRACE = 60000 -- ms that a key outlives what it holds, for clocks that differ
	local function grace_ms(ends)
		return math.max(math.floor((ends - now) / 1000), 0) + GRACE
	end
	local function expire_parts(key, generation, ends)
		local ms = grace_ms(ends)
		call('PEXPIRE', key, ms)
		call('PEXPIRE', events_key(generation), ms)
		call('PEXPIRE', state_key(generation), ms)
	end
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
	local function index_session(name, generation, at, ends)
		index_add(live, at, name, ends)
		if ends > 0 then
			expire_parts(session_key(name), generation, ends)
			index_add(base .. ':due', ends, 's:' .. name, ends)
		end
	end
	local name, time = ARGV[2], tonumber(ARGV[3])
	local m = call('HMGET', session_key(name), 'generation', 'expires')
	local generation = m[1]
	local deaths = deaths_key(name)
	local function tidy_deaths()
		for _, old in ipairs(call('ZRANGE', deaths, 0, 2)) do
			if call('EXISTS', deleted_key(old)) == 0 then
				call('ZREM', deaths, old)
			end
		end
	end
	if not lasts(generation, m[2]) or time == 0 then
		discard(name, generation)
		return {0}
	end
	local ends, position = math.min(now + time, MAX_WHOLE - 1), trash_front()
	call('RENAME', session_key(name), deleted_key(generation))
	call('HSET', deleted_key(generation), 'session', name, 'deleted', now, 'until', ends)
	call('ZREM', live, name)
	call('ZREM', due, 's:' .. name)
	tidy_deaths()
	index_add(trash, position, generation, ends)
	index_add(deaths, position, generation, ends)
	index_add(due, ends, 'd:' .. generation, ends)
	expire_parts(deleted_key(generation), generation, ends)
	return {0}
end

local name = table.remove(ARGV, 1)
for i = 1, #ARGV do
	ARGV[i] = string.gsub(ARGV[i], '%%(%x%x)', function(hex)
		return string.char(tonumber(hex, 16))
	end)
end
return script[name]()
