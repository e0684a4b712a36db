mock_provider "aws" {
  source = "./tests/mocks"
}

# Run with each stage's tfvars in turn.
run "a_stage_is_as_long_lived_as_its_use" {
  command = plan

  assert {
    condition     = aws_dynamodb_table.events.deletion_protection_enabled == (var.stage == "prod")
    error_message = "The table of prod, and of no other stage, is protected from deletion."
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
}
