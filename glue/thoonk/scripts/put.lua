-- put adds jobs to the feed, all or none.
--
-- KEYS[1]  list    queued ids, next one at the right
-- KEYS[2]  hash    id -> payload
-- KEYS[3]  zset    id -> time put, ms
-- KEYS[4]  string  jobs ever put
-- ARGV[1]  LPUSH, or RPUSH for jobs of high priority
-- ARGV[2]  channel of the notices, or an empty string for none
-- ARGV[3]  first job's id
-- ARGV[4]  first job's payload; further pairs follow, at most 1,000
--
-- Returns the number of jobs put.

-- A cluster's client repeats a script whose answer it did not get. Ids are fresh, so the first
-- one tells whether this is a repetition, unless its job is finished already.
if redis.call('HEXISTS', KEYS[2], ARGV[3]) == 1 then
  return 0
end

local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))

-- n counts jobs: to ask a table for its length costs a search.
local n, ids, published = 0, {}, {}
for i = 3, #ARGV, 2 do
  n = n + 1
  ids[n] = ARGV[i]
  published[2 * n - 1], published[2 * n] = now, ARGV[i]
end

redis.call(ARGV[1], KEYS[1], unpack(ids))
redis.call('INCRBY', KEYS[4], n)
redis.call('HSET', KEYS[2], unpack(ARGV, 3))
redis.call('ZADD', KEYS[3], unpack(published))

if ARGV[2] ~= '' then
  for i = 3, #ARGV, 2 do
    redis.call('PUBLISH', ARGV[2], ARGV[i] .. '\0' .. ARGV[i + 1])
  end
end
return n
