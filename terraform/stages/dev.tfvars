stage               = "dev"
region              = "ap-southeast-1"
retention_days      = 7
log_retention_days  = 14
deletion_protection = false
throttle            = { rate = 50, burst = 100 }
