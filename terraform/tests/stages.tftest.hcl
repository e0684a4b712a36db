mock_provider "aws" {
  source = "./tests/mocks"
}

# Run with each stage's tfvars in turn.
run "a_stage_is_as_long_lived_as_its_use" {
  command = plan

  assert {
    condition = alltrue([
      for table in [aws_dynamodb_table.events, aws_dynamodb_table.tokens] :
      table.deletion_protection_enabled == (var.stage == "prod")
    ])
    error_message = "The tables of prod, and of no other stage, are protected from deletion."
  }

  assert {
    condition     = var.retention_days == { dev = 7, staging = 30, prod = 0 }[var.stage]
    error_message = "Events of prod are kept for ever, those of dev for a week, those of staging for a month."
  }

  assert {
    condition = (
      aws_lambda_function.api_handler.environment[0].variables.RETENTION_DAYS == tostring(var.retention_days)
    )
    error_message = "The function is told the stage's retention."
  }

  assert {
    condition     = var.log_retention_days == { dev = 14, staging = 30, prod = 365 }[var.stage]
    error_message = "Logs of prod are kept for a year, those of dev for two weeks, those of staging for a month."
  }

  assert {
    condition     = aws_dynamodb_table.events.billing_mode == "PAY_PER_REQUEST"
    error_message = "No stage has steady traffic yet: each pays per request."
  }

  assert {
    condition     = length(aws_kms_key.this) == (var.stage == "prod" ? 1 : 0)
    error_message = "Prod, and no other stage, has a key of its own."
  }

  assert {
    condition     = length(aws_wafv2_web_acl.this) == (var.stage == "prod" ? 1 : 0)
    error_message = "Prod, and no other stage, has a firewall."
  }

  assert {
    condition = alltrue([
      for most in values(var.concurrency) : var.stage == "prod" ? most > 0 : most == -1
    ])
    error_message = "Prod alone takes a reserve from the account."
  }

  assert {
    condition = alltrue([
      for limit in values(var.throttle) : limit.rate == { dev = 50, staging = 50, prod = 100 }[var.stage]
    ])
    error_message = "Prod takes 100 requests a second of a method, the others 50."
  }

  assert {
    condition = alltrue([
      var.request_caps.events.write >= 2 * var.throttle.write.rate,
      var.request_caps.events.read >= 2 * var.throttle.read.rate,
    ])
    error_message = "Events of up to 2 KB are not held back by the table before they are by the throttle."
  }

  assert {
    condition     = var.token_cache_seconds == 300
    error_message = "A revoked token works for five minutes more at most."
  }
}
