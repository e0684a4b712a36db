mock_provider "aws" {
  source = "./tests/mocks"
}

override_resource {
  target = aws_lambda_alias.authorizer
  values = { invoke_arn = "arn:of:the:authorizer" }
}

variables {
  token_cache_seconds = 60
  concurrency         = { api_handler = 7, authorizer = 3 }
  throttle            = { read = { rate = 3, burst = 4 }, write = { rate = 1, burst = 2 } }
}

run "the_api_its_functions_and_their_logs" {
  # API Gateway and the function.

  assert {
    condition     = aws_lambda_function.api_handler.publish && aws_lambda_alias.live.function_version == "7"
    error_message = "The alias points to the version that the apply published."
  }

  assert {
    condition = join(" ", distinct([
      for integration in flatten([for path in values(jsondecode(aws_api_gateway_rest_api.rest_api.body).paths) : [
        for method in values(path) : try([method["x-amazon-apigateway-integration"]], [])
      ]]) : integration.uri if integration.type == "aws_proxy"
    ])) == "arn:of:the:alias"
    error_message = "API Gateway calls the alias, never the function."
  }

  assert {
    condition = alltrue([
      for permission in values(aws_lambda_permission.rest_api_invoke) : permission.qualifier == "live"
    ]) && length(aws_lambda_permission.rest_api_invoke) > 0
    error_message = "API Gateway may call the alias, and no other version."
  }

  assert {
    condition     = aws_lambda_function.api_handler.function_name == "event-api-${var.stage}"
    error_message = "The deploy role has permissions only on a function with this name."
  }

  assert {
    condition     = aws_lambda_function.api_handler.tracing_config[0].mode == "Active"
    error_message = "X-Ray traces the function."
  }

  # API Gateway and the authorizer.

  assert {
    condition = (
      aws_lambda_function.authorizer.publish
      && aws_lambda_alias.authorizer.name == "live"
      && aws_lambda_alias.authorizer.function_version == aws_lambda_function.authorizer.version
    )
    error_message = "The alias points to the version that the apply published."
  }

  assert {
    condition = jsonencode([
      for scheme in values(jsondecode(aws_api_gateway_rest_api.rest_api.body).securityDefinitions) : [
        scheme["x-amazon-apigateway-authorizer"].authorizerUri,
        scheme["x-amazon-apigateway-authorizer"].authorizerResultTtlInSeconds,
      ]
    ]) == jsonencode([["arn:of:the:authorizer", 60]])
    error_message = "API Gateway calls the authorizer's alias, and caches the policy for token_cache_seconds."
  }

  assert {
    condition     = aws_lambda_permission.authorizer_invoke.qualifier == "live"
    error_message = "API Gateway may call the authorizer's alias, and no other version."
  }

  assert {
    condition     = aws_lambda_function.authorizer.function_name == "event-api-${var.stage}-authorizer"
    error_message = "The deploy role has permissions only on an authorizer with this name."
  }

  assert {
    condition     = aws_lambda_function.authorizer.tracing_config[0].mode == "Active"
    error_message = "X-Ray traces the authorizer."
  }

  # Concurrency.

  assert {
    condition = [
      aws_lambda_function.api_handler.reserved_concurrent_executions,
      aws_lambda_function.authorizer.reserved_concurrent_executions,
    ] == [7, 3]
    error_message = "Each function has its own reserved concurrency."
  }

  # The API and its stage.

  assert {
    condition     = one(aws_api_gateway_rest_api.rest_api.endpoint_configuration).types == tolist(["REGIONAL"])
    error_message = "The endpoint is REGIONAL."
  }

  assert {
    condition     = aws_api_gateway_stage.this.xray_tracing_enabled
    error_message = "X-Ray traces the stage."
  }

  # The access log has ids, address, status and latency. It has no header, body, query or path of the request.

  assert {
    condition = values(jsondecode(one(aws_api_gateway_stage.this.access_log_settings).format)) == [
      "$context.authorizer.requestId",
      "$context.error.responseType",
      "$context.extendedRequestId",
      "$context.integration.latency",
      "$context.integration.requestId",
      "$context.integration.status",
      "$context.authorizer.principalId",
      "$context.responseLatency",
      "$context.httpMethod",
      "$context.requestId",
      "$context.resourcePath",
      "$context.responseLength",
      "$context.identity.sourceIp",
      "$context.status",
      "$context.authorizer.tenant",
      "$context.requestTime",
      "$context.tlsVersion",
      "$context.xrayTraceId",
    ]
    error_message = "The access log has these fields and no others."
  }

  assert {
    condition = (
      one(aws_api_gateway_stage.this.access_log_settings).destination_arn == aws_cloudwatch_log_group.access.arn
    )
    error_message = "The access log goes to its own group."
  }

  assert {
    condition = alltrue([
      for settings in [aws_api_gateway_method_settings.this.settings, aws_api_gateway_method_settings.write.settings] :
      one(settings).logging_level == "OFF" && !one(settings).data_trace_enabled
    ])
    error_message = "The execution log is off, because it can quote a body."
  }

  # Throttles.

  assert {
    condition = {
      for method in [aws_api_gateway_method_settings.this, aws_api_gateway_method_settings.write] :
      method.method_path => [
        one(method.settings).throttling_rate_limit, one(method.settings).throttling_burst_limit,
      ]
    } == { "*/*" = [3, 4], "events/POST" = [1, 2] }
    error_message = "POST /events has its own throttle. The other throttle applies to each other method separately."
  }

  assert {
    condition     = contains(keys(jsondecode(aws_api_gateway_rest_api.rest_api.body).paths["/events"]), "post")
    error_message = "The API has the method that the separate throttle names."
  }

  # Logs.

  assert {
    condition = {
      for log in [
        aws_cloudwatch_log_group.api_handler, aws_cloudwatch_log_group.authorizer, aws_cloudwatch_log_group.access,
      ] : log.name => log.retention_in_days
      } == {
      "/aws/lambda/event-api-${var.stage}"            = var.log_retention_days
      "/aws/lambda/event-api-${var.stage}-authorizer" = var.log_retention_days
      "/aws/apigateway/event-api-${var.stage}"        = var.log_retention_days
    }
    error_message = "The logs have the names that the deploy role may use, and the stage's retention."
  }

  assert {
    condition = [
      one(aws_lambda_function.api_handler.logging_config).log_group,
      one(aws_lambda_function.authorizer.logging_config).log_group,
    ] == [aws_cloudwatch_log_group.api_handler.name, aws_cloudwatch_log_group.authorizer.name]
    error_message = "Each function logs to its own group."
  }
}
