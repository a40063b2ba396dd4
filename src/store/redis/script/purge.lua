-- ARGV: now, session, generation or ''
--
-- Answers 0 and whether there are more of the name.

--include common.lua
--include trash.lua

local name, generation = ARGV[2], ARGV[3]
if generation ~= '' then
	if call('HGET', deleted_key(generation), 'session') == name then
		discard_deleted(name, generation)
	end
	return {0, 0}
end
for _, found in ipairs(call('ZRANGE', deaths_key(name), 0, PIECE - 1)) do
	discard_deleted(name, found)
end
return {0, call('EXISTS', deaths_key(name))}
