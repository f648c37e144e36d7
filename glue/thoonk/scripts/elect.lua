-- elect makes a daemon the active one of a feed if none is, and keeps it so.
--
-- KEYS[1]  string  who is the active one; it expires
-- ARGV[1]  who asks
-- ARGV[2]  for how long, ms
--
-- Returns won if nobody was and the one who asks is now, kept if it was before, other if another one is.

local active = redis.call('GET', KEYS[1])
if active and active ~= ARGV[1] then
  return 'other'
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return active and 'kept' or 'won'
