-- settle applies verdicts. Repeating it changes nothing.
--
-- KEYS[1]  list    queued ids, next one at the right
-- KEYS[2]  hash    id -> payload
-- KEYS[3]  zset    id -> time put, ms
-- KEYS[4]  zset    id -> time claimed, ms
-- KEYS[5]  hash    id -> times cancelled
-- KEYS[6]  set     stalled ids
-- KEYS[7]  string  jobs ever finished
-- KEYS[8]  hash    id -> why it is stalled
-- ARGV[1]  channel of the results
-- ARGV[2]  number n of jobs that finish without a result, 0 to 1,000
-- ARGV[3]  their ids, up to ARGV[2+n]
-- ARGV[3+n]  first verdict on another job: finish, cancel, stall or release
-- ARGV[4+n]  its id
-- ARGV[5+n]  finish: the result to publish. Otherwise: the time of the claim, in ms, that the
--            verdict belongs to, or two of them if it is not known which, or an empty string for any
--            claim. 
-- ARGV[6+n]  stall: a JSON object that says why, or an empty string. Further quadruples follow.
--
-- Released jobs go to the right end one by one, so the one to come out first comes last.
-- Returns the number of jobs on which a verdict took effect.

-- An error ends a script and takes nothing back. Where jobs move, all that can fail comes before the first
-- write: a key of the wrong type must not cost one its claim and leave it in no state.
if #ARGV > ARGV[2] + 2 then
  redis.call('LLEN', KEYS[1])
  redis.call('HLEN', KEYS[2])
  redis.call('ZCARD', KEYS[3])
  redis.call('ZCARD', KEYS[4])
  redis.call('HLEN', KEYS[5])
  redis.call('SCARD', KEYS[6])
end

local applied = 0

-- keep keeps why a job is stalled, with the time in ms. An error of it must not cost the job.
local function keep(id, reason)
  if reason == '' then
    redis.pcall('HDEL', KEYS[8], id)
    return
  end
  local time = redis.call('TIME')
  local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
  redis.pcall('HSET', KEYS[8], id, '{"at":' .. now .. ',' .. string.sub(reason, 2))
end

-- Here, and where many jobs finish, the claim goes last: where a key of the wrong type ends the script, it still
-- stands.
local function finish(id, result)
  redis.call('HDEL', KEYS[5], id)
  redis.call('ZREM', KEYS[3], id)
  redis.call('SREM', KEYS[6], id)
  redis.pcall('HDEL', KEYS[8], id)
  if redis.call('HDEL', KEYS[2], id) == 1 then
    redis.call('INCR', KEYS[7])
    redis.call('PUBLISH', ARGV[1], id .. '\0' .. result)
    applied = applied + 1
  end
  redis.call('ZREM', KEYS[4], id)
end

local function isOf(claim, held)
  for at in string.gmatch(claim, '%S+') do
    if tonumber(at) == tonumber(held) then
      return true
    end
  end
  return claim == ''
end

-- unclaim ends the claim that the verdict belongs to. It returns whether there was one and the
-- job still exists: a job that was retracted while a worker was claiming it leaves a claim
-- without payload, which must not come back.
local function unclaim(id, claim)
  local held = redis.call('ZSCORE', KEYS[4], id)
  if not held or not isOf(claim, held) then
    return false
  end
  redis.call('ZREM', KEYS[4], id)
  applied = applied + 1
  if redis.call('HEXISTS', KEYS[2], id) == 1 then
    return true
  end
  redis.call('HDEL', KEYS[5], id)
  redis.call('ZREM', KEYS[3], id)
  return false
end

-- times reads how often a job was cancelled. What is no number is none: it must not stop the script.
local function times(id)
  local n = redis.call('HGET', KEYS[5], id)
  return n and #n < 16 and string.find(n, '^%d+$') and tonumber(n) or 0
end

local plain = tonumber(ARGV[2])
if plain > 0 then
  local last = plain + 2
  redis.call('ZREM', KEYS[3], unpack(ARGV, 3, last))
  if redis.call('EXISTS', KEYS[5]) == 1 then
    redis.call('HDEL', KEYS[5], unpack(ARGV, 3, last))
  end
  if redis.call('EXISTS', KEYS[6]) == 1 then
    redis.call('SREM', KEYS[6], unpack(ARGV, 3, last))
  end
  if redis.call('EXISTS', KEYS[8]) == 1 then
    redis.pcall('HDEL', KEYS[8], unpack(ARGV, 3, last))
  end
  applied = redis.call('HDEL', KEYS[2], unpack(ARGV, 3, last))
  if applied > 0 then
    redis.call('INCRBY', KEYS[7], applied)
  end
  redis.call('ZREM', KEYS[4], unpack(ARGV, 3, last))
end

for i = plain + 3, #ARGV, 4 do
  local verdict, id, extra = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if verdict == 'finish' then
    finish(id, extra)
  elseif unclaim(id, extra) then
    if verdict == 'cancel' then
      redis.call('HSET', KEYS[5], id, string.format('%.0f', times(id) + 1))
      redis.call('LPUSH', KEYS[1], id)
    elseif verdict == 'stall' then
      redis.call('HDEL', KEYS[5], id)
      redis.call('SADD', KEYS[6], id)
      keep(id, ARGV[i + 3])
      redis.call('ZREM', KEYS[3], id)
    elseif verdict == 'release' then
      redis.call('RPUSH', KEYS[1], id)
    end
  end
end
return applied
