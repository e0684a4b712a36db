mock_provider "aws" {
  source = "./tests/mocks"
}

# A mock provider cannot import the restored table of a stage that has one.
override_resource {
  target = aws_dynamodb_table.events
  values = { arn = "arn:aws:dynamodb:ap-southeast-1:123456789012:table/made" }
}

# For the same reason, the table's key must be known.
override_resource {
  target          = aws_kms_key.this
  override_during = plan
  values          = { arn = "arn:aws:kms:ap-southeast-1:123456789012:key/made" }
}

# This test runs with the tfvars of each stage. The plan must have the values of that stage.
run "a_stage_is_as_its_tfvars_say" {
  command = plan

  assert {
    condition = alltrue([
      for table in [aws_dynamodb_table.events["events"], aws_dynamodb_table.tokens] :
      table.deletion_protection_enabled == var.protected
    ])
    error_message = "Both tables of a protected stage refuse their deletion."
  }

  assert {
    condition = (
      aws_lambda_function.api_handler.environment[0].variables.RETENTION_DAYS == tostring(var.retention_days)
    )
    error_message = "The function gets retention_days in its environment."
  }

  assert {
    condition     = aws_lambda_function.api_handler.environment[0].variables.INDEX_SHARDS == tostring(var.index_shards)
    error_message = "The function gets index_shards in its environment."
  }

  assert {
    condition = alltrue([
      for log in [
        aws_cloudwatch_log_group.api_handler, aws_cloudwatch_log_group.authorizer, aws_cloudwatch_log_group.access,
      ] : log.retention_in_days == var.log_retention_days
    ])
    error_message = "All logs have the retention of log_retention_days."
  }

  assert {
    condition = (
      aws_dynamodb_table.events["events"].billing_mode == (var.table_capacity == null ? "PAY_PER_REQUEST" : "PROVISIONED")
      && length(aws_appautoscaling_target.table) == (var.table_capacity == null ? 0 : 2)
    )
    error_message = "With table_capacity, the table is provisioned and has autoscaling. Without it, the table is on demand."
  }

  assert {
    condition = (
      one(aws_dynamodb_table.tokens.on_demand_throughput).max_read_request_units == var.request_caps.tokens.read
      && one(aws_dynamodb_table.tokens.on_demand_throughput).max_write_request_units == var.request_caps.tokens.write
    )
    error_message = "The tables have the limits of request_caps."
  }

  assert {
    condition     = length(aws_kms_key.this) == (var.customer_key ? 1 : 0)
    error_message = "The stage has its own key only if customer_key is true."
  }

  assert {
    condition     = length(aws_wafv2_web_acl.this) == (var.firewall == null ? 0 : 1)
    error_message = "The stage has a firewall only if the variable firewall is set."
  }

  assert {
    condition = [
      aws_lambda_function.api_handler.reserved_concurrent_executions,
      aws_lambda_function.authorizer.reserved_concurrent_executions,
    ] == [var.concurrency.api_handler, var.concurrency.authorizer]
    error_message = "The two functions have the values of concurrency."
  }

  assert {
    condition = [
      one(aws_api_gateway_method_settings.this.settings).throttling_rate_limit,
      one(aws_api_gateway_method_settings.this.settings).throttling_burst_limit,
      one(aws_api_gateway_method_settings.write.settings).throttling_rate_limit,
      one(aws_api_gateway_method_settings.write.settings).throttling_burst_limit,
    ] == [var.throttle.read.rate, var.throttle.read.burst, var.throttle.write.rate, var.throttle.write.burst]
    error_message = "Reads and writes have the limits of throttle."
  }

  assert {
    condition = alltrue([
      for group in aws_codedeploy_deployment_group.this :
      group.deployment_config_name == "CodeDeployDefault.${var.traffic_shift}"
      && group.service_role_arn == "arn:aws:iam::123456789012:role/event-api-${var.stage}-codedeploy"
      && group.app_name == "event-api-${var.stage}"
    ])
    error_message = "Both functions shift their traffic as traffic_shift says, with the role that oidc/ creates."
  }

  assert {
    condition = alltrue([
      for group in aws_codedeploy_deployment_group.this :
      join(" ", coalesce(one(group.alarm_configuration).alarms, [])) == join(" ", sort(local.release_alarms))
      && one(group.alarm_configuration).enabled == (var.alarms != null)
      && one(group.auto_rollback_configuration).enabled
      && length(one(group.auto_rollback_configuration).events) == 3
    ])
    error_message = "A failure, an alarm and a stop take a release back. Without alarms, only failures and stops do."
  }
}
