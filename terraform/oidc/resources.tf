# The names that the stages' root gives its resources: what a role may touch.
locals {
  names = { for stage in local.stages : stage => {
    table          = "${local.tables}/event-api-${stage}-events"
    tokens         = "${local.tables}/event-api-${stage}-tokens"
    functions      = [for name in local.functions : "${local.lambda}:event-api-${stage}${name}"]
    roles          = { for name in ["api_handler", "authorizer"] : name => "${local.iam}:role/event-api-${stage}-${name}" }
    boundary       = "${local.iam}:policy/event-api-function-boundary-${stage}"
    token_boundary = "${local.iam}:policy/event-api-authorizer-boundary-${stage}"
    alarms         = "arn:${local.partition}:cloudwatch:${local.regional}:alarm:${local.alarm_prefix}${stage}-events-*"
    log            = "${local.log_group}:/aws/lambda/event-api-${stage}"
    authorizer_log = "${local.log_group}:/aws/lambda/event-api-${stage}-authorizer"
    logs = [for name in concat(
      [for name in local.functions : "/aws/lambda/event-api-${stage}${name}"],
      ["/aws/apigateway/event-api-${stage}", "aws-waf-logs-event-api-${stage}"],
    ) : "${local.log_group}:${name}"]
    firewall = "arn:${local.partition}:wafv2:${local.regional}:regional/webacl/event-api-${stage}/*"
    alias    = "arn:${local.partition}:kms:${local.regional}:alias/event-api-${stage}"
    tags     = { "aws:ResourceTag/project" = "event-api", "aws:ResourceTag/stage" = stage }
  } }

  tables    = "arn:${local.partition}:dynamodb:${local.regional}:table"
  lambda    = "arn:${local.partition}:lambda:${local.regional}:function"
  log_group = "arn:${local.partition}:logs:${local.regional}:log-group"
  functions = ["", "-authorizer"] # what follows the stage in their names

  alarm_prefix = "TargetTracking-table/event-api-" # what autoscaling calls its alarms

  # API Gateway makes up the ids, and its ARNs hold no account.
  api      = "arn:${local.partition}:apigateway:${var.region}::/restapis"
  api_tags = "arn:${local.partition}:apigateway:${var.region}::/tags/${urlencode("${local.api}/")}*"

  keys        = "arn:${local.partition}:kms:${local.regional}:key/*" # KMS makes up the ids
  log_groups  = "arn:${local.partition}:logs:${local.regional}:log-group:*"
  autoscaling = "arn:${local.partition}:application-autoscaling:${local.regional}:scalable-target/*"
}
