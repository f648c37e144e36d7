-- wrk's script: what the daemon sends for a job of bench publish, over and over, to 1,000 channels.
-- FAN is the number of channels of each message, HEADER the name of the header that has the event's type.

local fan = tonumber(os.getenv("FAN") or "1")
local body = '{"id":"1763990000123456.17","post":12345,"thread":345,"parent":null,"author":{"id":"0123456789abcdef0123456789abcdef",'
  .. '"username":"rosa","name":"Rosa Lind"},"message":"The bell of the number 7 has a sound that nobody ha","createdAt":"2026-03-14T05:31:07Z"}'
local headers = {
  ["User-Agent"] = "pushglue",
  ["Event-Id"] = "1763990000123456.17",
  ["Content-Type"] = "application/json",
  [os.getenv("HEADER") or "Event-Type"] = "post_save",
}

local requests, n = {}, 0

function init()
  for thread = 0, 999 do
    local id = "bench:" .. thread
    for c = 1, fan - 1 do
      id = id .. "/bench:" .. thread .. ":" .. c
    end
    requests[thread] = wrk.format("POST", "/publish?id=" .. id, headers, body)
  end
end

function request()
  n = (n + 1) % 1000
  return requests[n]
end
