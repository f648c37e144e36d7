-- reap puts jobs whose claims are too old back at the head of the feed, the one that was claimed first on
-- top. Nothing is counted: nobody has said that they failed.
--
-- KEYS[1]  list  queued ids, next one at the right
-- KEYS[2]  hash  id -> payload
-- KEYS[3]  zset  id -> time put, ms
-- KEYS[4]  zset  id -> time claimed, ms; whole ones are not of pushglue
-- KEYS[5]  hash  id -> times cancelled
-- ARGV[1]  how old a claim of pushglue may be, ms, or how far ahead of the clock; an empty string to
--          end all of them
-- ARGV[2]  how old a claim of another worker may be, ms; an empty string to end all of them, never for none
-- ARGV[3]  a bound of ZREVRANGEBYSCORE, from which it goes down: +inf, then what it returned
-- ARGV[4]  how many claims to look at, at most
-- ARGV[5]  the time, ms, by which the caller knows that others could extend their claims; it ends none if
--          that is further from now than a third of ARGV[1], since the clock was set then. An empty
--          string for any time
--
-- Returns strings: the next bound, or an empty one when it has seen all; how many claims of pushglue
-- ended, how many of others; then the ids of the jobs that went back to the feed, the next one last.
-- A claim without payload ends too, but nothing goes back.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local own = ARGV[1] == '' and -math.huge or tonumber(ARGV[1])
local others = ARGV[2] == '' and -math.huge or ARGV[2] == 'never' and math.huge or tonumber(ARGV[2])

local from, latest = ARGV[3], now - math.min(own, others)
if from == '+inf' and latest < math.huge
  and redis.call('ZCOUNT', KEYS[4], string.format('(%.0f', now + own), '+inf') == 0 then
  from = string.format('(%.0f', latest + 1) -- most claims are young, and none of those has to be looked at
end

local function isOld(at)
  if at % 1 ~= 0 then
    return math.abs(now - at) >= own, true
  end
  return now - at >= others, false
end

local reply, ours, theirs = {'', '0', '0'}, 0, 0
if ARGV[5] ~= '' and math.abs(now - ARGV[5]) > own / 3 then
  return reply
end
local claims = redis.call('ZREVRANGEBYSCORE', KEYS[4], from, '-inf', 'WITHSCORES', 'LIMIT', 0, ARGV[4])
for i = 1, #claims, 2 do
  local id = claims[i]
  local old, isOurs = isOld(tonumber(claims[i + 1]))
  if old then
    if isOurs then
      ours = ours + 1
    else
      theirs = theirs + 1
    end
    -- A claim goes last: where a key of the wrong type ends the script, it still stands.
    if redis.call('HEXISTS', KEYS[2], id) == 1 then
      redis.call('RPUSH', KEYS[1], id)
      reply[#reply + 1] = id
    else
      redis.call('HDEL', KEYS[5], id)
      redis.call('ZREM', KEYS[3], id)
    end
    redis.call('ZREM', KEYS[4], id)
  end
end
if #claims == 2 * tonumber(ARGV[4]) then
  reply[1] = '(' .. claims[#claims]
end
reply[2], reply[3] = tostring(ours), tostring(theirs)
return reply
