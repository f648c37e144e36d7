-- retract deletes jobs, whatever their state, up to and with the first one that is queued: the
-- walk over the queue for it is enough for one script.
--
-- KEYS[1]  list  queued ids, next one at the right
-- KEYS[2]  hash  id -> payload
-- KEYS[3]  zset  id -> time put, ms
-- KEYS[4]  zset  id -> time claimed, ms
-- KEYS[5]  hash  id -> times cancelled
-- KEYS[6]  set   stalled ids
-- ARGV[1]  first id; more follow, at most 1,000
--
-- Returns how many of the ids it has dealt with, then those of them whose jobs existed.

local reply = {tostring(#ARGV)}
for i, id in ipairs(ARGV) do
  local existed = redis.call('HDEL', KEYS[2], id)
  local claimed = redis.call('ZREM', KEYS[4], id)
  local stalled = redis.call('SREM', KEYS[6], id)
  redis.call('ZREM', KEYS[3], id)
  redis.call('HDEL', KEYS[5], id)
  if existed == 1 then
    reply[#reply + 1] = id
    -- The id is on the queue only when the job was neither claimed nor stalled. A copy that
    -- stays is dropped by the claim that pops it.
    if claimed == 0 and stalled == 0 then
      redis.call('LREM', KEYS[1], 0, id)
      reply[1] = tostring(i)
      break
    end
  end
end
return reply
