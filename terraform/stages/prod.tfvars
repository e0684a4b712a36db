stage               = "prod"
region              = "ap-southeast-1"
retention_days      = 0 # for ever
log_retention_days  = 365
deletion_protection = true
throttle            = { rate = 100, burst = 200 }
