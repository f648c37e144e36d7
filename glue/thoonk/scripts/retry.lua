-- retry puts stalled jobs back on the feed, as if they were put now.
--
-- KEYS[1]  list  queued ids, next one at the right
-- KEYS[2]  hash  id -> payload
-- KEYS[3]  zset  id -> time put, ms
-- KEYS[4]  set   stalled ids
-- KEYS[5]  hash  id -> why it is stalled
-- ARGV[1]  first id; more follow
--
-- Returns the ids that were stalled and are queued now.

local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))

-- The id leaves the stalled ones last: where a key of the wrong type ends the script, it is still there.
local queued = {}
for _, id in ipairs(ARGV) do
  if redis.call('SISMEMBER', KEYS[4], id) == 1 then
    if redis.call('HEXISTS', KEYS[2], id) == 1 then
      redis.call('LPUSH', KEYS[1], id)
      redis.call('ZADD', KEYS[3], now, id)
      queued[#queued + 1] = id
    else
      redis.call('ZREM', KEYS[3], id)
    end
    redis.pcall('HDEL', KEYS[5], id)
    redis.call('SREM', KEYS[4], id)
  end
end
return queued
