-- ARGV: now, session, whether to tell, lease, how long it holds (µs), the id of the event, so many bytes of its
-- message that are there, what comes behind them; in front of that, where none are there, the event
-- without its message, packed, whose bytes are the last argument. Without an event nothing follows how
-- long it holds, and the lease alone is prolonged.
--
-- The key of the draft has both as one string, so that a message grows by what is new of it.

--include common.lua
--include tell.lua

local key, id, kept, new = session_key(ARGV[2]), ARGV[6], tonumber(ARGV[7] or 0), ARGV[8]
local m = call('HMGET', key, 'generation', 'expires', 'last', 'lease', 'held', 'draft', 'head')
if not lasts(m[1], m[2]) then
	return {NOTFOUND}
end
if m[4] ~= ARGV[4] or whole(m[5] or 0) == 0 then
	return {CONFLICT, whole(m[3]), 2}
end
local draft, time = draft_key(m[1]), clock()
if not id then
	call('HSET', key, 'held', time + tonumber(ARGV[5]))
	return {0}
end
local set = {'held', time + tonumber(ARGV[5]), 'drafted', time}

-- It goes with the other keys of the session.
local function replace(text)
	call('SET', draft, text)
	local left = call('PTTL', key)
	if left > 0 then
		call('PEXPIRE', draft, left)
	end
end

if kept == 0 then
	replace(new)
	set[5], set[6], set[7], set[8] = 'draft', id, 'head', ARGV[9]
else
	local bytes, at = call('STRLEN', draft), whole(m[7] or 0) + kept
	if m[6] ~= id or bytes < at then
		return {IN_THE_WAY}
	end
	if bytes > at + #new then
		replace(call('GETRANGE', draft, 0, at - 1) .. new)
	elseif #new > 0 then
		call('SETRANGE', draft, at, new)
	end
end
call('HSET', key, unpack(set))
tell(key)
return {0}
