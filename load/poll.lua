-- Polls like those of nodes, for wrk: wrk ... -s poll.lua URL -- QUERIES [DELAY]
--
-- QUERIES is a file of query strings, one per line. DELAY is how many milliseconds a connection waits before each poll. The client shares
-- the cores with the servers, so all requests are built before the first is sent. They are the same in every run, so two servers get the
-- same requests.

local MANY = 8192
local SEED = 20260721
local requests, last = {}, 0

local function node_id()
    local words = {}
    for word = 1, 4 do
        words[word] = string.format("%08x", math.random(0, 0xffffffff))
    end
    return table.concat(words)
end

function init(arguments)
    local queries = {}
    for query in io.lines(arguments[1]) do
        queries[#queries + 1] = query
    end
    math.randomseed(SEED)
    for number = 1, MANY do
        local query = queries[math.random(#queries)]
        requests[number] = wrk.format("GET", "/v1/graph?" .. query .. "&node_uuid=" .. node_id())
    end
    local milliseconds = tonumber(arguments[2])
    if milliseconds then
        delay = function() return milliseconds end
    end
end

function request()
    last = last % MANY + 1
    return requests[last]
end

-- `errors.status` counts responses with a status of 400 or more. These requests cannot be answered with 304 or a redirect, so all
-- others are 200. Times are in microseconds.
function done(summary, latency)
    local errors = summary.errors
    print(string.format(
        '{"polls": %d, "time": %d, "p50": %d, "p99": %d, "rejected": %d, "broken": %d}',
        summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), errors.status,
        errors.connect + errors.read + errors.write + errors.timeout
    ))
end
