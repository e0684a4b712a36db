mock_provider "aws" {
  source = "./tests/mocks"
}

run "a_published_version_and_an_alias_stand_between_gateway_and_function" {
  assert {
    condition     = aws_lambda_function.api_handler.publish && aws_lambda_alias.live.function_version == "7"
    error_message = "The alias leads to the version that the apply published."
  }

  assert {
    condition = join(" ", distinct([
      for integration in flatten([for path in values(jsondecode(aws_api_gateway_rest_api.rest_api.body).paths) : [
        for method in values(path) : try([method["x-amazon-apigateway-integration"]], [])
      ]]) : integration.uri if integration.type == "aws_proxy"
    ])) == "arn:of:the:alias"
    error_message = "The gateway calls the alias, never the function."
  }

  assert {
    condition = alltrue([
      for permission in values(aws_lambda_permission.rest_api_invoke) : permission.qualifier == "live"
    ]) && length(aws_lambda_permission.rest_api_invoke) > 0
    error_message = "The gateway may call the alias, and no other version."
  }

  assert {
    condition     = aws_lambda_function.api_handler.function_name == "event-api-${var.stage}"
    error_message = "The deploy role knows the function by this name."
  }

  assert {
    condition     = aws_lambda_function.api_handler.tracing_config[0].mode == "Active"
    error_message = "The function is traced."
  }
}

run "the_api_is_served_in_its_region" {
  assert {
    condition     = one(aws_api_gateway_rest_api.rest_api.endpoint_configuration).types == tolist(["REGIONAL"])
    error_message = "The endpoint is REGIONAL."
  }

  assert {
    condition     = aws_api_gateway_stage.this.xray_tracing_enabled
    error_message = "The stage is traced."
  }
}

run "the_access_log_holds_ids_address_status_and_latency_and_nothing_that_a_caller_sent" {
  assert {
    condition = values(jsondecode(one(aws_api_gateway_stage.this.access_log_settings).format)) == [
      "$context.error.responseType",
      "$context.extendedRequestId",
      "$context.integration.latency",
      "$context.integration.requestId",
      "$context.integration.status",
      "$context.responseLatency",
      "$context.httpMethod",
      "$context.requestId",
      "$context.resourcePath",
      "$context.responseLength",
      "$context.identity.sourceIp",
      "$context.status",
      "$context.requestTime",
      "$context.tlsVersion",
      "$context.xrayTraceId",
    ]
    error_message = "The access log has these fields alone."
  }

  assert {
    condition = (
      one(aws_api_gateway_stage.this.access_log_settings).destination_arn == aws_cloudwatch_log_group.access.arn
    )
    error_message = "The access log goes to its own group."
  }

  assert {
    condition = (one(aws_api_gateway_method_settings.this.settings).logging_level == "OFF"
    && !one(aws_api_gateway_method_settings.this.settings).data_trace_enabled)
    error_message = "The execution log, which can quote a body, is off."
  }
}

run "every_method_is_throttled_as_the_stage_says" {
  assert {
    condition = aws_api_gateway_method_settings.this.method_path == "*/*" && {
      rate  = one(aws_api_gateway_method_settings.this.settings).throttling_rate_limit
      burst = one(aws_api_gateway_method_settings.this.settings).throttling_burst_limit
    } == var.throttle
    error_message = "The throttle is the stage's, on all methods."
  }
}

run "logs_are_named_as_the_deploy_role_knows_them_and_end" {
  assert {
    condition = {
      for log in [aws_cloudwatch_log_group.api_handler, aws_cloudwatch_log_group.access] :
      log.name => log.retention_in_days
      } == {
      "/aws/lambda/event-api-${var.stage}"     = var.log_retention_days
      "/aws/apigateway/event-api-${var.stage}" = var.log_retention_days
    }
    error_message = "Both logs have the deploy role's names and the stage's retention."
  }
}
