mock_provider "aws" {
  source = "./tests/mocks"
}

run "a_package_of_another_stage_stops_the_plan" {
  command = plan

  variables {
    stage = var.stage == "prod" ? "staging" : "prod"
  }

  expect_failures = [var.stage]
}

run "an_unknown_stage_stops_the_plan" {
  command = plan

  variables {
    stage = "production"
  }

  expect_failures = [var.stage]
}

run "a_part_of_a_day_stops_the_plan" {
  command = plan

  variables {
    retention_days = 0.5
  }

  expect_failures = [var.retention_days]
}

run "a_capacity_whose_least_is_above_its_most_stops_the_plan" {
  command = plan

  variables {
    table_capacity = { read = { min = 5, max = 4 }, write = { min = 1, max = 4 } }
  }

  expect_failures = [var.table_capacity]
}

run "a_throttle_that_refuses_all_reads_stops_the_plan" {
  command = plan

  variables {
    throttle = { read = { rate = 0, burst = 10 }, write = { rate = 1, burst = 10 } }
  }

  expect_failures = [var.throttle]
}

run "a_throttle_that_refuses_all_writes_stops_the_plan" {
  command = plan

  variables {
    throttle = { read = { rate = 1, burst = 10 }, write = { rate = 1, burst = 0 } }
  }

  expect_failures = [var.throttle]
}

run "a_function_that_never_runs_stops_the_plan" {
  command = plan

  variables {
    concurrency = { api_handler = 0, authorizer = 1 }
  }

  expect_failures = [var.concurrency]
}

run "an_authorizer_that_never_runs_stops_the_plan" {
  command = plan

  variables {
    concurrency = { api_handler = -1, authorizer = 0 }
  }

  expect_failures = [var.concurrency]
}

run "less_than_no_reserve_stops_the_plan" {
  command = plan

  variables {
    concurrency = { api_handler = -2, authorizer = -1 }
  }

  expect_failures = [var.concurrency]
}

run "a_cap_that_the_largest_event_does_not_fit_in_stops_the_plan" {
  command = plan

  variables {
    request_caps = { events = { read = 65, write = 256 }, tokens = { read = 1, write = 1 } }
  }

  expect_failures = [var.request_caps]
}

run "a_cap_by_which_the_largest_event_cannot_be_read_stops_the_plan" {
  command = plan

  variables {
    request_caps = { events = { read = 64, write = 257 }, tokens = { read = 1, write = 1 } }
  }

  expect_failures = [var.request_caps]
}

run "a_cap_that_lets_nobody_in_stops_the_plan" {
  command = plan

  variables {
    request_caps = { events = { read = 65, write = 257 }, tokens = { read = 0, write = 1 } }
  }

  expect_failures = [var.request_caps]
}

run "a_token_kept_for_more_than_an_hour_stops_the_plan" {
  command = plan

  variables {
    token_cache_seconds = 3601
  }

  expect_failures = [var.token_cache_seconds]
}

run "a_token_kept_for_part_of_a_second_stops_the_plan" {
  command = plan

  variables {
    token_cache_seconds = 0.5
  }

  expect_failures = [var.token_cache_seconds]
}

run "a_firewall_that_counts_less_than_waf_can_stops_the_plan" {
  command = plan

  variables {
    firewall = { requests_per_address = 9 }
  }

  expect_failures = [var.firewall]
}

run "logs_without_an_end_stop_the_plan" {
  command = plan

  variables {
    log_retention_days = 0
  }

  expect_failures = [var.log_retention_days]
}
