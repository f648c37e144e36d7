-- older finds the jobs that have been in a state for longest.
--
-- KEYS[1]  zset  id -> time, ms, or s where thoonk.py's retry wrote it
-- KEYS[2]  zset  id -> time claimed, ms
-- KEYS[3]  set   stalled ids
-- ARGV[1]  how old they must be, ms, or an empty string for any age
-- ARGV[2]  how many to return at most, 1 to 1,000
-- ARGV[3]  1 to leave out claimed ids, else 0
--
-- Stalled ids are always left out: thoonk.js forgets to take their times away.
-- Returns id and time in ms of each job, in no order: up to ARGV[2] with times that were
-- written in ms, and as many with times that were written in s. It looks at 10,000 of each at most.

local page, most = 1000, 10000
local limit = tonumber(ARGV[2])
local latest = math.huge
if ARGV[1] ~= '' then
  local time = redis.call('TIME')
  latest = time[1] * 1000 + math.floor(time[2] / 1000) - ARGV[1]
end


local reply = {}
local function collect(from, to, unit)
  local found, offset = 0, 0
  while found < limit and offset < most do
    local entries = redis.call('ZRANGEBYSCORE', KEYS[1], from, to, 'WITHSCORES', 'LIMIT', offset, page)
    if #entries == 0 then
      return
    end
    offset = offset + page
    local ids = {}
    for i = 1, #entries, 2 do
      ids[#ids + 1] = entries[i]
    end
    local claimed = redis.call('ZMSCORE', KEYS[2], unpack(ids))
    local stalled = redis.call('SMISMEMBER', KEYS[3], unpack(ids))
    for i, id in ipairs(ids) do
      if stalled[i] == 0 and not (claimed[i] and ARGV[3] == '1') then
        reply[#reply + 1] = id
        reply[#reply + 1] = string.format('%.0f', math.floor(tonumber(entries[2 * i]) * unit))
        found = found + 1
        if found == limit then
          return
        end
      end
    end
  end
end

-- Whatever is under 1e11 is in s: as ms it would be a time in or before 1973.
if latest == math.huge then
  collect('100000000000', '+inf', 1)
  collect('-inf', '(100000000000', 1000)
else
  -- To the end of the ms: claims are of fractions.
  collect('100000000000', string.format('(%.0f', latest + 1), 1)
  collect('-inf', string.format('%.3f', latest / 1000), 1000)
end
return reply
