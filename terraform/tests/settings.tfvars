# What the tests plan with, whatever the stages are set to: terraform test -var-file=tests/settings.tfvars
stage               = "dev"
region              = "ap-southeast-1"
retention_days      = 11
log_retention_days  = 14
protected           = false
throttle            = { read = { rate = 3, burst = 4 }, write = { rate = 1, burst = 2 } }
concurrency         = { api_handler = 7, authorizer = 3 }
request_caps        = { events = { read = 650, write = 2570 }, tokens = { read = 3, write = 4 } }
token_cache_seconds = 60
firewall            = null
customer_key        = false
traffic_shift       = "LambdaCanary10Percent5Minutes"
