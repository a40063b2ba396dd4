-- In a cluster. KEYS: the app's key twice, one that is nowhere. ARGV: now, changes of the app's state
--
-- Whether there is room for them.

--include common.lua
--include state.lua

if changes_overflow(changes_read(2, nil, {})) then
	return {TOOBIG, 'a'}
end
return {0}
