stage               = "dev"
region              = "ap-southeast-1"
retention_days      = 7
log_retention_days  = 14
protected           = false
throttle            = { read = { rate = 50, burst = 100 }, write = { rate = 50, burst = 100 } }
concurrency         = { api_handler = -1, authorizer = -1 }
request_caps        = { events = { read = 500, write = 500 }, tokens = { read = 500, write = 10 } }
token_cache_seconds = 300
firewall            = null
customer_key        = false
traffic_shift       = "LambdaAllAtOnce"
alarms              = null # they cost about $4 a month
