-- begin marks a message as on its way, unless it is published or another job has it.
--
-- KEYS[1]  string  the message's mark
-- ARGV[1]  the job's mark
-- ARGV[2]  how long it lasts, ms
-- ARGV[3]  the mark of a published message
--
-- Returns 0 if the message is this job's now, 1 if it is published, 2 if another job has it.

local mark = redis.call('GET', KEYS[1])
if mark == ARGV[3] then
  return 1
end
if mark and mark ~= ARGV[1] then
  return 2
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 0
