-- In a cluster. ARGV: now, notes that are carried out

--include common.lua

for i = 2, #ARGV do
	call('LREM', base .. ':notes', 1, ARGV[i])
end
return {0}
