-- purge deletes jobs of one state.
--
-- KEYS[1]  list  queued ids, next one at the right
-- KEYS[2]  hash  id -> payload
-- KEYS[3]  zset  id -> time put, ms
-- KEYS[4]  zset  id -> time claimed, ms
-- KEYS[5]  hash  id -> times cancelled
-- KEYS[6]  set   stalled ids
-- ARGV[1]  queued, claimed or stalled
-- ARGV[2]  how many ids to take at most, 1 to 1,000: queued ones from the head of the queue,
--          claimed ones oldest claim first, stalled ones at random
--
-- Returns how many ids it took, then those whose jobs it deleted. An id on the queue gives no
-- job when it is claimed or stalled, for then it is a copy, or when its payload is gone: then
-- whatever is left of it goes too.

local state, limit = ARGV[1], tonumber(ARGV[2])
local ids = {}
if state == 'queued' then
  local tail = redis.call('LRANGE', KEYS[1], -limit, -1)
  for i = 1, #tail do
    ids[i] = tail[#tail + 1 - i]
  end
elseif state == 'claimed' then
  ids = redis.call('ZRANGE', KEYS[4], 0, limit - 1)
elseif state == 'stalled' then
  ids = redis.call('SRANDMEMBER', KEYS[6], limit)
end
local reply = {tostring(#ids)}
if #ids == 0 then
  return reply
end

-- An error ends a script and takes nothing back, so all that can fail comes before the first write:
-- a key of the wrong type must not leave jobs without their ids.
redis.call('ZCARD', KEYS[3])
redis.call('HLEN', KEYS[5])
local held = redis.call('ZMSCORE', KEYS[4], unpack(ids))
local stalled = redis.call('SMISMEMBER', KEYS[6], unpack(ids))
local gone, seen = {}, {}
for i, id in ipairs(ids) do
  local exists = redis.call('HEXISTS', KEYS[2], id) == 1
  local copy = state == 'queued' and (held[i] or stalled[i] == 1)
  if not seen[id] and not (exists and copy) then
    seen[id] = true
    gone[#gone + 1] = id
    if exists then
      reply[#reply + 1] = id
    end
  end
end

if state == 'queued' then
  redis.call('RPOP', KEYS[1], #ids)
end
if #gone > 0 then
  redis.call('HDEL', KEYS[2], unpack(gone))
  redis.call('ZREM', KEYS[3], unpack(gone))
  redis.call('ZREM', KEYS[4], unpack(gone))
  redis.call('HDEL', KEYS[5], unpack(gone))
  redis.call('SREM', KEYS[6], unpack(gone))
end
return reply
