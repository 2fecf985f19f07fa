-- Polls as nodes send them, for wrk: wrk ... -s poll.lua URL -- QUERIES
--
-- QUERIES is a file of query strings, one a line. The client shares the cores with what it measures: all requests are
-- made before the first is sent, and the same ones every time, so that two servers are asked the same.

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
end

function request()
    last = last % MANY + 1
    return requests[last]
end

-- `errors.status` counts answers of 400 and more. No request here has a condition or could be sent elsewhere: what is
-- less is 200. Times are in microseconds.
function done(summary, latency)
    local errors = summary.errors
    print(string.format(
        '{"polls": %d, "time": %d, "p50": %d, "p99": %d, "refused": %d, "broken": %d}',
        summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), errors.status,
        errors.connect + errors.read + errors.write + errors.timeout
    ))
end
