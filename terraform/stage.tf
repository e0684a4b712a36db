# The oldest TLS that callers may use stands in the API's own description: the provider knows no such setting in 5.100.
resource "aws_api_gateway_stage" "this" {
  # checkov:skip=CKV_AWS_120:The store is one cheap read away; a cache would cost more than it saves.
  # checkov:skip=CKV2_AWS_4:The execution log can quote a body that fails its model; the access log has what is needed.
  # checkov:skip=CKV2_AWS_29:A firewall is the stage's choice: at rest it costs more than the rest of the API.
  # checkov:skip=CKV2_AWS_77:AWS's list of anonymous addresses has those of hosting providers, where callers live.
  # checkov:skip=CKV2_AWS_51:A client certificate proves the gateway to a backend over HTTP; ours is a function.
  rest_api_id          = aws_api_gateway_rest_api.rest_api.id
  deployment_id        = aws_api_gateway_deployment.rest_api.id
  stage_name           = "api"
  description          = "The Event API, ${var.stage}."
  xray_tracing_enabled = true

  access_log_settings {
    destination_arn = aws_cloudwatch_log_group.access.arn
    # Ids, the caller's address, status and latency. Never what a caller sent: no body, header, query or path as it came.
    format = jsonencode({
      request_id          = "$context.requestId"
      extended_request_id = "$context.extendedRequestId"
      trace_id            = "$context.xrayTraceId"
      time                = "$context.requestTime"
      source_ip           = "$context.identity.sourceIp"
      key_id              = "$context.authorizer.principalId"
      tenant              = "$context.authorizer.tenant"
      method              = "$context.httpMethod"
      resource            = "$context.resourcePath"
      status              = "$context.status"
      error               = "$context.error.responseType"
      tls                 = "$context.tlsVersion"
      response_bytes      = "$context.responseLength"
      latency_ms          = "$context.responseLatency"
      function_request_id = "$context.integration.requestId"
      function_status     = "$context.integration.status"
      function_latency_ms = "$context.integration.latency"
    })
  }
}

# Of each method by itself: reads, and what has no setting of its own.
resource "aws_api_gateway_method_settings" "this" {
  # checkov:skip=CKV_AWS_225:The store is one cheap read away; a cache would cost more than it saves.
  # checkov:skip=CKV_AWS_308:There is no cache to encrypt.
  rest_api_id = aws_api_gateway_rest_api.rest_api.id
  stage_name  = aws_api_gateway_stage.this.stage_name
  method_path = "*/*"

  settings {
    throttling_rate_limit  = var.throttle.read.rate
    throttling_burst_limit = var.throttle.read.burst
    metrics_enabled        = true
    logging_level          = "OFF"
    data_trace_enabled     = false
  }
}

resource "aws_api_gateway_method_settings" "write" {
  # checkov:skip=CKV_AWS_225:No answer to a POST is kept.
  # checkov:skip=CKV_AWS_308:There is no cache to encrypt.
  rest_api_id = aws_api_gateway_rest_api.rest_api.id
  stage_name  = aws_api_gateway_stage.this.stage_name
  method_path = "events/POST"

  settings {
    throttling_rate_limit  = var.throttle.write.rate
    throttling_burst_limit = var.throttle.write.burst
    metrics_enabled        = true
    logging_level          = "OFF"
    data_trace_enabled     = false
  }

  # Both change one list of the stage's.
  depends_on = [aws_api_gateway_method_settings.this]
}
