-- ARGV: now, sessions
--
-- Answers 0 and for each of them 16 hexadecimal digits, which change with whatever happens to it; '' for
-- one that is absent.

--include common.lua

local answer = {0}
for i = 2, #ARGV do
	local m = call('HMGET', session_key(ARGV[i]), 'generation', 'expires', 'updated', 'last', 'title',
		'behind', 'lease', 'held', 'draft', 'drafted')
	if lasts(m[1], m[2]) then
		m[2] = '' -- a longer life is not told
		m[8] = m[8] and m[8] ~= '0' -- nor is a lease that lasts longer
		for j = 1, 10 do
			m[j] = tostring(m[j])
		end
		answer[i] = string.sub(redis.sha1hex(table.concat(m, '\n')), 1, 16)
	else
		answer[i] = ''
	end
end
return answer
