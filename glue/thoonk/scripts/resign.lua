-- resign makes room for another active daemon.
--
-- KEYS[1]  string  who is the active one
-- ARGV[1]  who resigns
--
-- Returns 1 if it was the active one, else 0.

if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
return redis.call('DEL', KEYS[1])
