-- A write was made: the session moves to the place `at` and, with a ttl, lives
-- longer. `set` has fields and values for its hash; `fresh` tells that a part of it may be new.
--
-- Its keys get a new expiry only when half of their grace is used up, which `armed` tells, or when
-- clocks differ; so a busy session does not pay for that at every write.
local function touch(name, generation, expires, armed, ttl, at, fresh, set)
	local ends = ttl > 0 and math.min(now + ttl, MAX_WHOLE - 1) or expires
	local arm = fresh or ends > armed or ends < expires
	local n = #set
	set[n + 1], set[n + 2] = 'updated', at
	if at ~= ARGV[1] then
		set[n + 3], set[n + 4], n = 'behind', clock(), n + 2 -- for marks.lua: `updated` stays
	end
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
	--include lifetime.lua
	index_session(name, generation, at, ends)
end
