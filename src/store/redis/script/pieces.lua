-- Call a command with a key and any number of arguments, in groups of `group` that stay together.
local function call_pieces(command, key, args, group)
	local step = math.floor(PIECE / group) * group
	for first = 1, #args, step do
		call(command, key, unpack(args, first, math.min(first + step - 1, #args)))
	end
end
