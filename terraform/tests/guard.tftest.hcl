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

run "a_throttle_that_refuses_all_stops_the_plan" {
  command = plan

  variables {
    throttle = { rate = 0, burst = 10 }
  }

  expect_failures = [var.throttle]
}

run "logs_without_an_end_stop_the_plan" {
  command = plan

  variables {
    log_retention_days = 0
  }

  expect_failures = [var.log_retention_days]
}
