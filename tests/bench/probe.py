"""Runs in the measured process: imports a handler, calls it, and prints its CPU seconds and its peak memory (KiB).

Arguments: the handler's folder, the runtime's folder, module, function, number of warm requests, events (JSON).
"""

import json
import resource
import sys
import time
from types import SimpleNamespace

folder, runtime, module, name, requests, events = sys.argv[1:]
sys.path[:0] = [folder, runtime]
sys.dont_write_bytecode = True
post, get, listing, batch, authorize = json.loads(events)
CONTEXT = SimpleNamespace(
    aws_request_id="6f8a2f1c",
    function_name="bench",
    memory_limit_in_mb=256,
    invoked_function_arn="arn:aws:lambda:ap-southeast-1:123456789012:function:bench",
)


def warm(function, event, key, value, times=int(requests)):
    """Call a function often. Return the CPU seconds of one call."""
    begin = time.process_time()
    for _ in range(times):
        result = function(event, CONTEXT)
    spent = time.process_time() - begin
    assert result[key] == value, result
    return spent / times


start = time.process_time()
imported = __import__(module)
handler = getattr(imported, name)
first = handler(post, CONTEXT)
cold = time.process_time() - start
assert first["statusCode"] == 201, first
caller = {"tenant": "acme", "scopes": "events:read events:write"}
result_of = {
    "cold start CPU": cold,
    "warm POST CPU": warm(handler, post, "statusCode", 201),
    "warm GET CPU": warm(handler, get, "statusCode", 200),
    "warm list CPU": warm(handler, listing, "statusCode", 200),
    "warm batch CPU": warm(handler, batch, "statusCode", 207, int(requests) // 50),
    "warm authorizer CPU": warm(imported.authorizer, authorize, "context", caller),
    "peak memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
}
print(json.dumps(result_of))
