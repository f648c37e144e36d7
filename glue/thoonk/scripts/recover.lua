-- recover puts lost jobs back at the head of the feed: a worker popped their ids and died
-- before it claimed them. It stops behind the first one that it sought on the queue: that walk is
-- enough for one script.
--
-- KEYS[1]  list  queued ids, next one at the right
-- KEYS[2]  hash  id -> payload
-- KEYS[3]  zset  id -> time claimed, ms
-- KEYS[4]  set   stalled ids
-- ARGV[1]  put, or look to leave them where they are
-- ARGV[2]  first id; more follow
--
-- Returns how many of the ids it has dealt with, then those of them that are lost: those that
-- have a payload, are neither claimed nor stalled, and are not on the queue.

local reply = {tostring(#ARGV - 1)}
for i = 2, #ARGV do
  local id = ARGV[i]
  if redis.call('HEXISTS', KEYS[2], id) == 1
    and not redis.call('ZSCORE', KEYS[3], id)
    and redis.call('SISMEMBER', KEYS[4], id) == 0 then
    -- From the head: what a worker that lives on gave back is there, and so is what is old.
    if not redis.call('LPOS', KEYS[1], id, 'RANK', -1) then
      if ARGV[1] == 'put' then
        redis.call('RPUSH', KEYS[1], id)
      end
      reply[2] = id
    end
    reply[1] = tostring(i - 1)
    break
  end
end
return reply
