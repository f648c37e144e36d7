-- extend renews claims.
--
-- KEYS[1]  zset  id -> time claimed, ms
-- ARGV[1]  first id
-- ARGV[2]  the time of its claim, in ms, or an empty string for any claim. Further pairs
--          follow, at most 1,000.
--
-- Returns strings: the new time of the claims, in ms, then the ids whose claims still stood.

local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))

local reply = {now}
for i = 1, #ARGV, 2 do
  local id, claim = ARGV[i], ARGV[i + 1]
  local held = redis.call('ZSCORE', KEYS[1], id)
  if held and (claim == '' or tonumber(claim) == tonumber(held)) then
    redis.call('ZADD', KEYS[1], now, id)
    reply[#reply + 1] = id
  end
end
return reply
