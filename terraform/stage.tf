# The stage's name is the last part of the API's URL. The oldest TLS version is in the API's description, because provider
# 5.100 has no setting for it.
resource "aws_api_gateway_stage" "this" {
  # checkov:skip=CKV_AWS_120:A table read is cheap; a cache would cost more than it saves.
  # checkov:skip=CKV2_AWS_4:The execution log can quote an invalid body; the access log is enough.
  # checkov:skip=CKV2_AWS_29:Each stage chooses its firewall: it costs more than an API without traffic.
  # checkov:skip=CKV2_AWS_77:AWS's list of anonymous addresses includes hosting providers, where callers run.
  # checkov:skip=CKV2_AWS_51:A client certificate is for a backend over HTTP; this backend is a function.
  rest_api_id          = local.rest_api.id
  deployment_id        = local.deployment.id
  stage_name           = var.stage
  description          = "The Event API, ${var.stage}."
  xray_tracing_enabled = true

  access_log_settings {
    destination_arn = aws_cloudwatch_log_group.access.arn
    # Ids, the caller's address, status and latency. The log has no body, header, query or path of the request.
    format = jsonencode({
      request_id            = "$context.requestId"
      extended_request_id   = "$context.extendedRequestId"
      trace_id              = "$context.xrayTraceId"
      time                  = "$context.requestTime"
      source_ip             = "$context.identity.sourceIp"
      key_id                = "$context.authorizer.principalId"
      tenant                = "$context.authorizer.tenant"
      method                = "$context.httpMethod"
      resource              = "$context.resourcePath"
      status                = "$context.status"
      error                 = "$context.error.responseType"
      tls                   = "$context.tlsVersion"
      response_bytes        = "$context.responseLength"
      latency_ms            = "$context.responseLatency"
      authorizer_request_id = "$context.authorizer.requestId"
      function_request_id   = "$context.integration.requestId"
      function_status       = "$context.integration.status"
      function_latency_ms   = "$context.integration.latency"
    })
  }
}

# These limits apply to each method separately, also to the OPTIONS of preflights. POST /events has its own below.
resource "aws_api_gateway_method_settings" "this" {
  # checkov:skip=CKV_AWS_225:A table read is cheap; a cache would cost more than it saves.
  # checkov:skip=CKV_AWS_308:There is no cache to encrypt.
  rest_api_id = local.rest_api.id
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
  # checkov:skip=CKV_AWS_225:API Gateway does not cache a POST's response.
  # checkov:skip=CKV_AWS_308:There is no cache to encrypt.
  rest_api_id = local.rest_api.id
  stage_name  = aws_api_gateway_stage.this.stage_name
  method_path = "events/POST"

  settings {
    throttling_rate_limit  = var.throttle.write.rate
    throttling_burst_limit = var.throttle.write.burst
    metrics_enabled        = true
    logging_level          = "OFF"
    data_trace_enabled     = false
  }

  # Both resources change one list of the stage.
  depends_on = [aws_api_gateway_method_settings.this]
}
