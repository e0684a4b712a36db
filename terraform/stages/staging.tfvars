stage               = "staging"
region              = "ap-southeast-1"
retention_days      = 30
log_retention_days  = 30
deletion_protection = false
throttle            = { rate = 50, burst = 100 }
