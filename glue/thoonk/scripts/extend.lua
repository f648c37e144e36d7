-- extend renews claims.
--
-- KEYS[1]  zset  id -> time claimed, ms
-- ARGV[1]  first id
-- ARGV[2]  the time of its claim, in ms
-- ARGV[3]  the new one, which it may have already. Further triples follow, at most 1,000, with later
--          new times.
--
-- Returns the ids whose claims did not stand.

local claims, ended = {}, {}
-- Latest first: a small set is a list of texts, in which it is the first one then that is looked at.
for i = #ARGV - 2, 1, -3 do
  local id, new = ARGV[i], ARGV[i + 2]
  local held = tonumber(redis.call('ZSCORE', KEYS[1], id) or -1)
  if held == tonumber(ARGV[i + 1]) or held == tonumber(new) then
    claims[#claims + 1] = new
    claims[#claims + 1] = id
  else
    ended[#ended + 1] = id
  end
end
if #claims > 0 then
  redis.call('ZADD', KEYS[1], unpack(claims))
end
return ended
