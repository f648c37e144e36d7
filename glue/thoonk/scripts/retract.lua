-- retract deletes one job, whatever its state.
--
-- KEYS[1]  list  queued ids, next one at the right
-- KEYS[2]  hash  id -> payload
-- KEYS[3]  zset  id -> time put, ms
-- KEYS[4]  zset  id -> time claimed, ms
-- KEYS[5]  hash  id -> times cancelled
-- KEYS[6]  set   stalled ids
-- ARGV[1]  id
--
-- Returns 1 when the job existed, else 0.

local id = ARGV[1]
local existed = redis.call('HDEL', KEYS[2], id)
local claimed = redis.call('ZREM', KEYS[4], id)
local stalled = redis.call('SREM', KEYS[6], id)
redis.call('ZREM', KEYS[3], id)
redis.call('HDEL', KEYS[5], id)

-- LREM walks the whole list, and the id is there only when the job was neither claimed nor
-- stalled. A copy that stays is dropped by the claim that pops it.
if existed == 1 and claimed == 0 and stalled == 0 then
  redis.call('LREM', KEYS[1], 0, id)
end
return existed
