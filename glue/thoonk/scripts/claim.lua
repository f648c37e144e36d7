-- claim pops ids, marks them claimed and reads their jobs, in one step.
--
-- KEYS[1]  list  queued ids, next one at the right
-- KEYS[2]  hash  id -> payload
-- KEYS[3]  zset  id -> time put, ms
-- KEYS[4]  zset  id -> time claimed, ms
-- KEYS[5]  hash  id -> times cancelled
-- KEYS[6]  set   stalled ids
-- KEYS[7]  string  who is the active one, of those that have to be
-- ARGV[1]  how many ids to pop, 1 to 1,000
-- ARGV[2]  channel of the notices, or an empty string for none
-- ARGV[3]  who claims and has to be the active one; an empty string for anybody
-- ARGV[4]  channel of the results
--
-- Returns strings: a head, then id and payload of each job. The head's words are the time in ms, the
-- number of ids popped, the time in 1/4096 ms, and for each job the times cancelled and the time put
-- as it is stored, or 0; the last one is how many clients wait for results. In a cluster it knows
-- those of its own node only. Or the only word is refused: another one is active, or nobody.
--
-- The nth job is claimed n/4096 ms after that, so that their order can be restored: it takes Redis longer
-- to claim one. No claim is of a whole ms, so it is of pushglue: thoonk.py and thoonk.js write whole ones.
-- The one that would be, and those behind it, are 1/4096 ms later.
--
-- An id is popped but gives no job when
--   its payload is gone: it was retracted or finished, and whatever is left of it goes too;
--   it is claimed: another worker has it and this was a copy;
--   it is stalled: it is out of the running until it is retried, and this was a copy.

-- An error ends a script and takes nothing back, so all that can fail comes before the first write:
-- a key of the wrong type must not cost the jobs that were popped.
if ARGV[3] ~= '' and redis.call('GET', KEYS[7]) ~= ARGV[3] then
  return {'refused'}
end
local tail = redis.call('LRANGE', KEYS[1], -tonumber(ARGV[1]), -1)
local popped = #tail
if popped == 0 then
  return {'0 0 0'}
end
local ids = {}
for i = 1, popped do
  ids[i] = tail[popped + 1 - i]
end

local time = redis.call('TIME')
local ms = time[1] * 1000 + math.floor(time[2] / 1000)
local now = string.format('%.0f', ms)
local at = ms * 4096 + math.floor(time[2] % 1000 * 4.096)
local whole = (ms + 1) * 4096

-- Whoever may not ask learns of none.
local waiting = redis.pcall('PUBSUB', 'NUMSUB', ARGV[4])[2] or 0

local payloads = redis.call('HMGET', KEYS[2], unpack(ids))
local put = redis.call('ZMSCORE', KEYS[3], unpack(ids))
local held = redis.call('ZMSCORE', KEYS[4], unpack(ids))
local cancelled, stalled = {}, {}
if redis.call('EXISTS', KEYS[5]) == 1 then
  cancelled = redis.call('HMGET', KEYS[5], unpack(ids))
end
if redis.call('EXISTS', KEYS[6]) == 1 then
  stalled = redis.call('SMISMEMBER', KEYS[6], unpack(ids))
end

-- n counts jobs: to ask a table for its length costs a search.
local n, head, reply, gone, seen = 0, {now, popped, string.format('%.0f', at)}, {''}, {}, {}
for i = 1, popped do
  local id, payload = ids[i], payloads[i]
  if not payload then
    gone[#gone + 1] = id
  elseif not held[i] and stalled[i] ~= 1 and not seen[id] then
    n = n + 1
    seen[id] = true
    reply[2 * n], reply[2 * n + 1] = id, payload
    head[2 * n + 2] = cancelled[i] and string.format('%.0f', tonumber(cancelled[i]) or 0) or '0'
    head[2 * n + 3] = put[i] or '0'
  end
end

redis.call('RPOP', KEYS[1], popped)
if n > 0 then
  -- Latest first: a small set is a list of texts, in which it is the first one then that is looked at.
  local claims = {}
  for i = n, 1, -1 do
    local to, tick = 2 * (n - i), at + i
    if tick >= whole then
      tick = tick + 1
    end
    claims[to + 1], claims[to + 2] = tick / 4096, reply[2 * i]
  end
  redis.call('ZADD', KEYS[4], unpack(claims))
end
if #gone > 0 then
  redis.call('ZREM', KEYS[3], unpack(gone))
  redis.call('ZREM', KEYS[4], unpack(gone))
  redis.call('HDEL', KEYS[5], unpack(gone))
  redis.call('SREM', KEYS[6], unpack(gone))
end
if ARGV[2] ~= '' then
  for i = 2, 2 * n, 2 do
    redis.call('PUBLISH', ARGV[2], reply[i])
  end
end

head[2 * n + 4] = waiting
reply[1] = table.concat(head, ' ')
return reply
