-- In a cluster. KEYS: the app's key twice, one that is nowhere. ARGV: now, user, changes of the app's
-- state
--
-- Whether there is room for them. Answers 0 and the number of the user's last note that was carried out.

--include common.lua
--include state.lua

if changes_overflow(changes_read(3, nil, {})) then
	return {TOOBIG, 'a'}
end
return {0, call('HGET', base .. ':done', ARGV[2]) or 0}
