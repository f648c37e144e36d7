-- retract deletes jobs, up to and with the first one that is queued: the walk over the queue for it
-- is enough for one script.
--
-- KEYS[1]  list  queued ids, next one at the right
-- KEYS[2]  hash  id -> payload
-- KEYS[3]  zset  id -> time put, ms
-- KEYS[4]  zset  id -> time claimed, ms
-- KEYS[5]  hash  id -> times cancelled
-- KEYS[6]  set   stalled ids
-- KEYS[7]  hash  id -> why it is stalled
-- ARGV[1]  the state that a job must be in: queued, claimed or stalled; an empty string for any
-- ARGV[2]  first id; more follow, at most 1,000
--
-- Returns how many of the ids it has dealt with, then those of them whose jobs it deleted. A lost
-- job, which is on the queue no more, counts as queued.

-- An error ends a script and takes nothing back, so all that can fail comes before the first write:
-- a key of the wrong type must not leave half a job.
redis.call('LLEN', KEYS[1])
redis.call('HLEN', KEYS[2])
redis.call('ZCARD', KEYS[3])
redis.call('ZCARD', KEYS[4])
redis.call('HLEN', KEYS[5])
redis.call('SCARD', KEYS[6])
redis.call('HLEN', KEYS[7])

local reply = {tostring(#ARGV - 1)}
for i = 2, #ARGV do
  local id, state = ARGV[i], 'queued'
  if redis.call('SISMEMBER', KEYS[6], id) == 1 then
    state = 'stalled'
  elseif redis.call('ZSCORE', KEYS[4], id) then
    state = 'claimed'
  end
  if ARGV[1] == '' or ARGV[1] == state then
    redis.call('ZREM', KEYS[4], id)
    redis.call('SREM', KEYS[6], id)
    redis.call('HDEL', KEYS[7], id)
    redis.call('ZREM', KEYS[3], id)
    redis.call('HDEL', KEYS[5], id)
    if redis.call('HDEL', KEYS[2], id) == 1 then
      reply[#reply + 1] = id
      -- A copy on the queue of a job that was claimed or stalled is dropped by the claim that
      -- pops it.
      if state == 'queued' then
        redis.call('LREM', KEYS[1], 0, id)
        reply[1] = tostring(i - 1)
        break
      end
    end
  end
end
return reply
