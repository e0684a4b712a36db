# AWS does not have these metrics, so CloudWatch counts lines of the logs. The namespace has the stage's name, because a
# metric with a dimension has no default value.
locals {
  metrics = "event-api/${var.stage}"

  # Name of the metric => the log, and the lines that count.
  metric_filters = { for name, filter in {
    AuthorizerFailures = {
      log     = aws_cloudwatch_log_group.access.name
      pattern = "{ $.error = \"AUTHORIZER_FAILURE\" || $.error = \"AUTHORIZER_CONFIGURATION_ERROR\" }"
    }
    StoreUnavailable = {
      log     = aws_cloudwatch_log_group.api_handler.name
      pattern = "{ $.outcome = \"store-unavailable\" }"
    }
    TooManyRequests = {
      log     = aws_cloudwatch_log_group.access.name
      pattern = "{ $.status = \"429\" }"
    }
    Unauthorized = {
      log     = aws_cloudwatch_log_group.access.name
      pattern = "{ $.status = \"401\" }"
    }
  } : name => filter if var.alarms != null }
}

resource "aws_cloudwatch_log_metric_filter" "this" {
  for_each = local.metric_filters

  name           = "event-api-${var.stage}-${each.key}"
  log_group_name = each.value.log
  pattern        = each.value.pattern

  metric_transformation {
    namespace = local.metrics
    name      = each.key
    value     = "1"
    unit      = "Count"
  }
}
