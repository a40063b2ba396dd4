-- What scripts share that change state.
--
-- A scope is a hash of name to JSON; its empty name holds the bytes of all names and values. In a
-- cluster the app's is in another slot, and what changes of it is noted here:
-- carry.lua carries it out there.

-- Collect the changes at ARGV[at]: their number, and for each the event it came with, its scope,
-- name and value, which is empty to remove the name; behind them, where they are to be noted, a number
-- that the note's must be above. Those of events in `skip` do not count; of
-- several for a name the last does.
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

-- Work out the bytes of each scope. Answers the scope that would be too big, if any; nothing is
-- written yet.
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

-- A note is its number, then names and values. The numbers of a user rise: by the server's clock, within
-- a day whatever that says, and above what was carried out, of which this server may have lost its part.
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
