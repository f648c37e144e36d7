-- recover puts lost jobs back at the head of the feed: a worker popped their ids and died
-- before it claimed them.
--
-- KEYS[1]  list  queued ids, next one at the right
-- KEYS[2]  hash  id -> payload
-- KEYS[3]  zset  id -> time claimed, ms
-- KEYS[4]  set   stalled ids
-- ARGV[1]  how many ids at the head of the feed to look at
-- ARGV[2]  first id; more follow
--
-- Returns the ids that were put back: those that have a payload, are neither claimed nor
-- stalled, and are not at the head of the feed.

local head = {}
for _, id in ipairs(redis.call('LRANGE', KEYS[1], '-' .. ARGV[1], -1)) do
  head[id] = true
end

local lost = {}
for i = 2, #ARGV do
  local id = ARGV[i]
  if not head[id]
    and redis.call('HEXISTS', KEYS[2], id) == 1
    and not redis.call('ZSCORE', KEYS[3], id)
    and redis.call('SISMEMBER', KEYS[4], id) == 0 then
    head[id] = true
    redis.call('RPUSH', KEYS[1], id)
    lost[#lost + 1] = id
  end
end
return lost
