-- span tells how far to read a set of times to see all that are older than an age.
--
-- KEYS[1]  zset  id -> time, ms, or s where thoonk.py's retry wrote it
-- ARGV[1]  how old they must be, ms, or an empty string for any age
--
-- Returns numbers: the latest time that is old enough, in ms; how many entries are in s, how many
-- of them are old enough; how many entries in ms are old enough. Those in s are the first ones.

local latest, ms, s = math.huge, '+inf', '(100000000000'
if ARGV[1] ~= '' then
  local time = redis.call('TIME')
  latest = time[1] * 1000 + math.floor(time[2] / 1000) - ARGV[1]
  -- To the end of the ms: claims are of fractions.
  ms, s = string.format('(%.0f', latest + 1), string.format('%.3f', latest / 1000)
end

-- Whatever is under 1e11 is in s: as ms it would be a time in or before 1973.
return {
  latest == math.huge and 'inf' or string.format('%.0f', latest),
  tostring(redis.call('ZCOUNT', KEYS[1], '-inf', '(100000000000')),
  tostring(redis.call('ZCOUNT', KEYS[1], '-inf', s)),
  tostring(redis.call('ZCOUNT', KEYS[1], '100000000000', ms)),
}
