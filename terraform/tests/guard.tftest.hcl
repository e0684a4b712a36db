mock_provider "aws" {
  source = "./tests/mocks"
}

# Each value below stops the plan by itself.

run "values_that_no_stage_can_have_stop_the_plan" {
  command = plan

  variables {
    stage               = var.stage == "prod" ? "staging" : "prod" # the package is of another stage
    retention_days      = 0.5                                      # events expire after whole days
    table_capacity      = { read = { min = 5, max = 4 }, write = { min = 1, max = 4 } }
    throttle            = { read = { rate = 0, burst = 10 }, write = { rate = 1, burst = 10 } } # refuses all reads
    concurrency         = { api_handler = 0, authorizer = 1 }                                   # it never runs
    request_caps        = { events = { read = 65, write = 256 }, tokens = { read = 1, write = 1 } }
    token_cache_seconds = 3601                         # more than an hour
    firewall            = { requests_per_address = 9 } # WAF's minimum is 10
    log_retention_days  = 0                            # 0 keeps logs for ever
  }

  expect_failures = [
    var.stage, var.retention_days, var.table_capacity, var.throttle, var.concurrency, var.request_caps,
    var.token_cache_seconds, var.firewall, var.log_retention_days,
  ]
}

run "other_values_that_no_stage_can_have_stop_the_plan" {
  command = plan

  variables {
    stage               = "production"
    throttle            = { read = { rate = 1, burst = 10 }, write = { rate = 1, burst = 0 } } # refuses all writes
    concurrency         = { api_handler = -1, authorizer = 0 }                                 # it never runs
    request_caps        = { events = { read = 64, write = 257 }, tokens = { read = 1, write = 1 } }
    token_cache_seconds = 0.5
  }

  expect_failures = [var.stage, var.throttle, var.concurrency, var.request_caps, var.token_cache_seconds]
}

run "less_than_no_reserve_and_a_cap_that_lets_nobody_in_stop_the_plan" {
  command = plan

  variables {
    concurrency  = { api_handler = -2, authorizer = -1 }
    request_caps = { events = { read = 65, write = 257 }, tokens = { read = 0, write = 1 } }
  }

  expect_failures = [var.concurrency, var.request_caps]
}
