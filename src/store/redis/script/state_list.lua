-- ARGV: now, session or '', the scopes as letters, the one name or ''
--
-- Answers 0 and, for each scope asked for, its letter and its names and values. In a cluster the notes of
-- the user (state.lua) are in the place of the app's state.

--include common.lua

local keys = {u = base, a = app}
if ARGV[2] ~= '' then
	local m = call('HMGET', session_key(ARGV[2]), 'generation', 'expires')
	if not lasts(m[1], m[2]) then
		return {NOTFOUND}
	end
	keys.s = state_key(m[1])
end
local answer = {0}
for scope in string.gmatch(ARGV[3], '.') do
	local found
	if not keys[scope] then
		found = call('LRANGE', base .. ':notes', 0, 0)
	elseif ARGV[4] == '' then
		found = call('HGETALL', keys[scope])
	else
		local value = call('HGET', keys[scope], ARGV[4])
		found = value and {ARGV[4], value} or {}
	end
	table.insert(answer, scope)
	table.insert(answer, found)
end
return answer
