stage               = "prod"
region              = "ap-southeast-1"
retention_days      = 0 # for ever
log_retention_days  = 365
protected           = true
throttle            = { read = { rate = 100, burst = 200 }, write = { rate = 100, burst = 200 } }
concurrency         = { api_handler = 50, authorizer = 50 }
request_caps        = { events = { read = 1000, write = 1000 }, tokens = { read = 500, write = 10 } }
token_cache_seconds = 300
firewall            = { requests_per_address = 15000 }
customer_key        = true
traffic_shift       = "LambdaCanary10Percent5Minutes"
