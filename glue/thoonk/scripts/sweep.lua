-- sweep takes reasons away whose jobs are not stalled any more: thoonk.py retried or retracted them.
--
-- KEYS[1]  hash  id -> why it is stalled
-- KEYS[2]  set   stalled ids
-- ARGV[1]  where to go on: 0 at first, then what it returned
--
-- Returns where to go on, 0 at the end. It looks at some 100 of them.

local scan = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', 100)
local entries = scan[2]
for i = 1, #entries, 2 do
  if redis.call('SISMEMBER', KEYS[2], entries[i]) == 0 then
    redis.call('HDEL', KEYS[1], entries[i])
  end
end
return scan[1]
