# The names of the stages' resources, as the root in terraform/ sets them. The policies of the roles refer to them.
locals {
  names = { for stage, region in local.regions : stage => {
    table          = "${local.arn[stage].dynamodb}:table/event-api-${stage}-events"
    tokens         = "${local.arn[stage].dynamodb}:table/event-api-${stage}-tokens"
    functions      = [for name in local.functions : "${local.arn[stage].lambda}:function:event-api-${stage}${name}"]
    roles          = { for name in ["api_handler", "authorizer"] : name => "${local.iam}:role/event-api-${stage}-${name}" }
    boundary       = "${local.iam}:policy/event-api-function-boundary-${stage}"
    token_boundary = "${local.iam}:policy/event-api-authorizer-boundary-${stage}"
    alarms         = "${local.arn[stage].cloudwatch}:alarm:${local.alarm_prefix}${stage}-events-*"
    log            = "${local.arn[stage].logs}:log-group:/aws/lambda/event-api-${stage}"
    authorizer_log = "${local.arn[stage].logs}:log-group:/aws/lambda/event-api-${stage}-authorizer"
    logs = [for name in concat(
      [for name in local.functions : "/aws/lambda/event-api-${stage}${name}"],
      ["/aws/apigateway/event-api-${stage}", "aws-waf-logs-event-api-${stage}"],
    ) : "${local.arn[stage].logs}:log-group:${name}"]
    firewall        = "${local.arn[stage].wafv2}:regional/webacl/event-api-${stage}/*"
    firewall_groups = "${local.arn[stage].wafv2}:regional/managedruleset/*/*"
    alias           = "${local.arn[stage].kms}:alias/event-api-${stage}"
    tags            = { "aws:ResourceTag/project" = "event-api", "aws:ResourceTag/stage" = stage }
    key_services    = [for service in ["dynamodb", "lambda"] : "${service}.${region}.amazonaws.com"]

    # API Gateway chooses the ids, and its ARNs have no account id.
    api      = "arn:${local.partition}:apigateway:${region}::/restapis"
    api_tags = "arn:${local.partition}:apigateway:${region}::/tags/${urlencode("arn:${local.partition}:apigateway:${region}::/restapis/")}*"

    keys        = "${local.arn[stage].kms}:key/*" # KMS chooses the ids
    log_groups  = "${local.arn[stage].logs}:log-group:*"
    autoscaling = "${local.arn[stage].application-autoscaling}:scalable-target/*"
  } }

  services = ["application-autoscaling", "cloudwatch", "dynamodb", "kms", "lambda", "logs", "wafv2"]
  arn = { for stage, region in local.regions : stage => {
    for service in local.services : service => "arn:${local.partition}:${service}:${region}:${local.account}"
  } }

  functions    = ["", "-authorizer"]               # the end of their names, after the stage
  alarm_prefix = "TargetTracking-table/event-api-" # the start of the names of autoscaling's alarms
}
