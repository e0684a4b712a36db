# The names that the stages' root gives its resources: what a role may touch.
locals {
  names = { for stage in local.stages : stage => {
    table         = "arn:${local.partition}:dynamodb:${local.regional}:table/event-api-${stage}-events"
    function      = "arn:${local.partition}:lambda:${local.regional}:function:event-api-${stage}"
    function_role = "${local.iam}:role/event-api-${stage}-api_handler"
    boundary      = "${local.iam}:policy/event-api-function-boundary-${stage}"
    alarms        = "arn:${local.partition}:cloudwatch:${local.regional}:alarm:${local.alarm_prefix}${stage}-events-*"
    function_log  = "arn:${local.partition}:logs:${local.regional}:log-group:/aws/lambda/event-api-${stage}"
    access_log    = "arn:${local.partition}:logs:${local.regional}:log-group:/aws/apigateway/event-api-${stage}"
  } }

  alarm_prefix = "TargetTracking-table/event-api-" # what autoscaling calls its alarms

  # API Gateway makes up the ids, and its ARNs hold no account.
  api      = "arn:${local.partition}:apigateway:${var.region}::/restapis"
  api_tags = "arn:${local.partition}:apigateway:${var.region}::/tags/${urlencode("${local.api}/")}*"

  log_groups  = "arn:${local.partition}:logs:${local.regional}:log-group:*"
  autoscaling = "arn:${local.partition}:application-autoscaling:${local.regional}:scalable-target/*"
}
