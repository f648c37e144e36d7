-- cancel ends claims, whoever made them, and puts their jobs back at the end of the feed.
--
-- KEYS[1]  list  queued ids, next one at the right
-- KEYS[2]  hash  id -> payload
-- KEYS[3]  zset  id -> time put, ms
-- KEYS[4]  zset  id -> time claimed, ms
-- KEYS[5]  hash  id -> times cancelled
-- ARGV[1]  how old a claim must be, ms; an empty string for any age, also a time in the future; or
--          ids for the claims of given jobs
-- ARGV[2]  how many claims to end at most, oldest first; or the first id. More ids follow, at
--          most 1,000.
--
-- Jobs go back in the order in which they are given, and else in that in which they were put: those
-- of one claim have all the same time of it.
--
-- Returns the number of claims ended, then the ids of the jobs that went back to the feed.
-- A claim without payload ends too, but nothing goes back.

local ids = {}
if ARGV[1] == 'ids' then
  for i = 2, #ARGV do
    ids[i - 1] = ARGV[i]
  end
else
  local latest = '+inf'
  if ARGV[1] ~= '' then
    local time = redis.call('TIME')
    -- To the end of the ms: claims are of fractions.
    latest = string.format('(%.0f', time[1] * 1000 + math.floor(time[2] / 1000) - ARGV[1] + 1)
  end
  ids = redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', latest, 'LIMIT', 0, ARGV[2])
  if #ids > 0 then
    local put, place = redis.call('ZMSCORE', KEYS[3], unpack(ids)), {}
    for i, id in ipairs(ids) do
      place[id] = {tonumber(put[i] or 0), i}
    end
    table.sort(ids, function(a, b)
      local x, y = place[a], place[b]
      return x[1] < y[1] or x[1] == y[1] and x[2] < y[2]
    end)
  end
end

-- times reads how often a job was cancelled. What is no number is none: it must not stop the script.
local function times(id)
  local n = redis.call('HGET', KEYS[5], id)
  return n and #n < 16 and string.find(n, '^%d+$') and tonumber(n) or 0
end

-- A claim goes last: where a key of the wrong type ends the script, it still stands.
local ended, reply = 0, {''}
for _, id in ipairs(ids) do
  if redis.call('ZSCORE', KEYS[4], id) then
    ended = ended + 1
    if redis.call('HEXISTS', KEYS[2], id) == 1 then
      redis.call('HSET', KEYS[5], id, string.format('%.0f', times(id) + 1))
      redis.call('LPUSH', KEYS[1], id)
      reply[#reply + 1] = id
    else
      redis.call('HDEL', KEYS[5], id)
      redis.call('ZREM', KEYS[3], id)
    end
    redis.call('ZREM', KEYS[4], id)
  end
end
reply[1] = tostring(ended)
return reply
