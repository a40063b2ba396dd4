-- What an append may do with the lease; cv_hold_check() says the same in C. ARGV[more]: 'hold', 'take',
-- 'force', 'keep' or 'end', the lease, how long it holds (µs), the id of the draft that is settled or '',
-- and its bytes. What it may is done by grant(), later, which answers whether that is news.
local what, lease, settles = ARGV[more + 1], ARGV[more + 2], ARGV[more + 4]
local h = call('HMGET', key, 'lease', 'held', 'draft', 'head')
local ours, ends, time = h[1] == lease, whole(h[2] or 0), clock()
if what == 'keep' or what == 'end' then
	-- A repetition finds it ended, and everything stored.
	if not ours or (ends == 0 and (what == 'keep' or n > 0)) then
		return {CONFLICT, before, 2}
	end
elseif not ours or settles ~= '' then
	if what == 'take' and not ours and ends > time then
		return {BUSY, before, string.format('%.0f', ends - time)}
	end
	-- Without its bytes there is no draft.
	local bytes = h[3] and call('STRLEN', draft_key(generation)) - whole(h[4] or 0) or -1
	local left = bytes >= 0 and h[3] or ''
	if left ~= settles or (left ~= '' and bytes ~= tonumber(ARGV[more + 5])) then
		return {IN_THE_WAY}
	end
end

local until_us = what == 'end' and 0 or time + tonumber(ARGV[more + 3])
grant = function()
	call('HSET', key, 'lease', lease, 'held', until_us)
	if h[3] and (what == 'end' or settles ~= '') then
		call('UNLINK', draft_key(generation))
		call('HDEL', key, 'draft', 'head', 'drafted')
	end
	return what ~= 'keep'
end
