"""The deployed stage's own settings, so that a fork may change its stages. They are values of `terraform -var`."""

# Three in one minute raise an alarm, so that a test needs no flood.
ALARMS_ON_COUNTS = (
    "server_errors", "function_errors", "function_throttles", "authorizer_failures", "store_unavailable",
    "store_throttles", "store_errors", "unauthorized", "too_many_requests", "blocked",
)  # fmt: skip
# More requests than the tests send in a second: only the tests of throttles may get a 429.
THROTTLE = "{rate=1000,burst=1000}"
SETTINGS = {
    "token_cache_seconds": "300",
    "retention_days": "7",
    "log_retention_days": "14",
    "table_capacity": "null",
    "index_shards": "1",
    "request_caps": "{events={read=500,write=500},tokens={read=500,write=10}}",
    "throttle": f"{{read={THROTTLE},write={THROTTLE}}}",
    "customer_key": "false",
    "firewall": "null",
    "concurrency": "{api_handler=-1,authorizer=-1}",
    "cors_origins": "[]",
    "traffic_shift": "LambdaAllAtOnce",
    "alarms": f"{{{','.join(f'{name}=3' for name in ALARMS_ON_COUNTS)}}}",
    "alarm_email": "events@example.com",  # `null` would be a text here: Terraform reads a string as it is
}
