-- reap cancels jobs whose claims are too old: their workers are dead.
--
-- KEYS[1]  list  queued ids, next one at the right
-- KEYS[2]  hash  id -> payload
-- KEYS[3]  zset  id -> time put, ms
-- KEYS[4]  zset  id -> time claimed, ms
-- KEYS[5]  hash  id -> times cancelled
-- ARGV[1]  how old a claim must be, ms
-- ARGV[2]  how many claims to end at most
--
-- Returns the number of claims ended, then the ids of the jobs that went back to the feed.
-- A claim without payload ends too, but nothing goes back.

local time = redis.call('TIME')
local latest = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000) - ARGV[1])

local ids = redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', latest, 'LIMIT', 0, ARGV[2])
local reply = {tostring(#ids)}
for _, id in ipairs(ids) do
  redis.call('ZREM', KEYS[4], id)
  if redis.call('HEXISTS', KEYS[2], id) == 1 then
    redis.call('HINCRBY', KEYS[5], id, 1)
    redis.call('LPUSH', KEYS[1], id)
    reply[#reply + 1] = id
  else
    redis.call('HDEL', KEYS[5], id)
    redis.call('ZREM', KEYS[3], id)
  end
end
return reply
