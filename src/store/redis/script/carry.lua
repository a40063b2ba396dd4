-- In a cluster. KEYS: the app's key twice, one that is nowhere. ARGV: now, user, notes, oldest first
--
-- Carries out what was noted beside the user, each note once: `done` has the number of the last one of
-- each user.

--include common.lua
--include pieces.lua
--include state.lua

local done = base .. ':done'
local last = whole(call('HGET', done, ARGV[2]) or 0)
for i = 3, #ARGV do
	local note = cmsgpack.unpack(ARGV[i])
	if note[1] > last then
		last = note[1]
		local plan = {key = base, names = {}, value = {}}
		for j = 2, #note, 2 do
			table.insert(plan.names, note[j])
			plan.value[note[j]] = note[j + 1]
		end
		changes_overflow({a = plan}) -- for its bytes alone: it is too late to refuse
		changes_apply({a = plan})
	end
end
-- Also where nothing is new, for who waits for replicas; see append.lua.
call('HSET', done, ARGV[2], string.format('%.0f', last))
return {0}
