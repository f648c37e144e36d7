-- purge deletes jobs of one state that were put, or claimed, until a given time.
--
-- KEYS[1]  list  queued ids, next one at the right
-- KEYS[2]  hash  id -> payload
-- KEYS[3]  zset  id -> time put, ms, or s where thoonk.py's retry wrote it
-- KEYS[4]  zset  id -> time claimed, ms
-- KEYS[5]  hash  id -> times cancelled
-- KEYS[6]  set   stalled ids
-- KEYS[7]  hash  id -> why it is stalled
-- ARGV[1]  queued or claimed
-- ARGV[2]  the latest time to delete, ms
-- ARGV[3]  how many ids to take at most, 1 to 1,000: queued ones from the head of the queue,
--          claimed ones oldest claim first
--
-- Returns how many ids it took, then those whose jobs it deleted. An id on the queue gives no
-- job when it is claimed or stalled, for then it is a copy, or when its payload is gone: then
-- whatever is left of it goes too. Later jobs keep their places on the queue. It looks at 10,000 ids
-- of the queue at most.

local page, most = 1000, 10000
local state, latest, limit = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

-- An error ends a script and takes nothing back, so all that can fail comes before the first write:
-- a key of the wrong type must not leave jobs without their ids.
redis.call('LLEN', KEYS[1])
redis.call('HLEN', KEYS[2])
redis.call('ZCARD', KEYS[3])
redis.call('HLEN', KEYS[5])
redis.call('SCARD', KEYS[6])
redis.call('HLEN', KEYS[7])

local taken, reply, gone, seen = 0, {''}, {}, {}
local function take(id)
  taken = taken + 1
  if not seen[id] then
    seen[id] = true
    gone[#gone + 1] = id
    if redis.call('HEXISTS', KEYS[2], id) == 1 then
      reply[#reply + 1] = id
    end
  end
end

-- last is the place, from the head, of the last id to take off the queue. Those before it that stay
-- are put back.
local last, stay = 0, {}
local function takeQueued(offset)
  local tail = redis.call('LRANGE', KEYS[1], -offset - page, -offset - 1)
  if #tail == 0 then
    return false
  end
  local put = redis.call('ZMSCORE', KEYS[3], unpack(tail))
  local held = redis.call('ZMSCORE', KEYS[4], unpack(tail))
  local stalled = redis.call('SMISMEMBER', KEYS[6], unpack(tail))
  for i = #tail, 1, -1 do
    local id, ms = tail[i], tonumber(put[i] or 0)
    -- Whatever is under 1e11 is in s: as ms it would be a time in or before 1973.
    if ms < 1e11 then
      ms = ms * 1000
    end
    if held[i] or stalled[i] == 1 then
      if redis.call('HEXISTS', KEYS[2], id) == 1 then
        taken = taken + 1
      else
        take(id)
      end
      last = offset + #tail + 1 - i
    elseif ms <= latest or redis.call('HEXISTS', KEYS[2], id) == 0 then
      take(id)
      last = offset + #tail + 1 - i
    else
      stay[#stay + 1] = {id, offset + #tail + 1 - i}
    end
    if taken == limit then
      return false
    end
  end
  return true
end

if state == 'queued' then
  local offset = 0
  while offset < most and takeQueued(offset) do
    offset = offset + page
  end
elseif state == 'claimed' then
  -- To the end of the ms: claims are of fractions.
  local bound = string.format('(%.0f', latest + 1)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', bound, 'LIMIT', 0, limit)) do
    take(id)
  end
end

if last > 0 then
  redis.call('RPOP', KEYS[1], last)
  for i = #stay, 1, -1 do
    if stay[i][2] < last then
      redis.call('RPUSH', KEYS[1], stay[i][1])
    end
  end
end
if #gone > 0 then
  redis.call('ZREM', KEYS[3], unpack(gone))
  redis.call('ZREM', KEYS[4], unpack(gone))
  redis.call('HDEL', KEYS[5], unpack(gone))
  redis.call('SREM', KEYS[6], unpack(gone))
  redis.call('HDEL', KEYS[7], unpack(gone))
  redis.call('HDEL', KEYS[2], unpack(gone))
end
reply[1] = tostring(taken)
return reply
