-- A circuit breaker for one upstream: each worker counts for itself, and opens for two seconds after twenty failures in a row.
local failures, open_until = 0, 0
function envoy_on_request(handle)
  if os.time() < open_until then handle:respond({[":status"] = "503"}, "open") end
end
function envoy_on_response(handle)
  local status = tonumber(handle:headers():get(":status"))
  if status < 500 or os.time() < open_until then failures = 0 return end
  failures = failures + 1
  if failures >= 20 then failures, open_until = 0, os.time() + 2 end
end
