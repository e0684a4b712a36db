# The names of the stages' resources, as the root in terraform/ sets them. The policies of the roles refer to them.
locals {
  names = { for stage, region in local.regions : stage => {
    # A person restores the second table: see docs/operations.md.
    events    = [for name in ["events", "events-restored"] : "${local.arn[stage].dynamodb}:table/event-api-${stage}-${name}"]
    tokens    = "${local.arn[stage].dynamodb}:table/event-api-${stage}-tokens"
    functions = local.functions[stage]
    # Each function, and its versions and aliases.
    function_arns = { for name, arn in local.functions[stage] : name => [arn, "${arn}:*"] }
    # The same with fewer characters, for the boundary.
    short_function_arns = [for suffix in ["", ":*", "-authorizer*"] : "${local.functions[stage].api_handler}${suffix}"]
    roles               = { for name in ["api_handler", "authorizer"] : name => "${local.iam}:role/event-api-${stage}-${name}" }
    release_role        = "${local.iam}:role/event-api-${stage}-codedeploy"
    alarms              = "${local.arn[stage].cloudwatch}:alarm:${local.alarm_prefix}${stage}-events-*"
    # What autoscaling's alarms do: they apply the scaling policies of the stage's tables.
    scaling_policies = "arn:${local.partition}:autoscaling:${region}:${local.account}:scalingPolicy:*:resource/dynamodb/table/event-api-${stage}-events*"
    own_alarms       = "${local.arn[stage].cloudwatch}:alarm:event-api-${stage}-*"
    dashboard        = "arn:${local.partition}:cloudwatch::${local.account}:dashboard/event-api-${stage}" # has no region
    topic            = "${local.arn[stage].sns}:event-api-${stage}-alarms"
    log_groups       = local.log_groups[stage]
    # Each log group, and its log streams.
    log_arns = flatten([for arn in values(local.log_groups[stage]) : [arn, "${arn}:*"]])
    # The same with fewer characters, for the boundary.
    short_log_arns = [
      "${local.arn[stage].logs}:log-group:/aws/*/event-api-${stage}",
      "${local.arn[stage].logs}:log-group:/aws/*/event-api-${stage}:*",
      "${local.arn[stage].logs}:log-group:/aws/lambda/event-api-${stage}-authorizer*",
      "${local.arn[stage].logs}:log-group:aws-waf-logs-event-api-${stage}*",
    ]
    # What a protected stage keeps: tables, logs, the alarm on altered events, the groups of alarms and their topic. Only a
    # denial names them, so any region and account will do: this takes fewer characters.
    kept = [for resource in [
      "dynamodb:*:*:table/event-api-${stage}-*",
      "logs:*:*:log-group:*event-api-${stage}*",
      "cloudwatch:*:*:alarm:event-api-${stage}-altered",
      "cloudwatch:*:*:alarm:event-api-${stage}-failing",
      "cloudwatch:*:*:alarm:event-api-${stage}-refused",
      "cloudwatch:*:*:alarm:event-api-${stage}-store",
      "sns:*:*:event-api-${stage}-alarms",
    ] : "arn:${local.partition}:${resource}"]
    others_alarms = [
      for other in local.stages : "${local.arn[other].cloudwatch}:alarm:event-api-${other}-*" if other != stage
    ]
    releases        = "${local.arn[stage].codedeploy}:*:event-api-${stage}*" # both, with fewer characters
    release_app     = "${local.arn[stage].codedeploy}:application:event-api-${stage}"
    release_groups  = "${local.arn[stage].codedeploy}:deploymentgroup:event-api-${stage}/event-api-${stage}*"
    release_configs = "${local.arn[stage].codedeploy}:deploymentconfig:CodeDeployDefault.Lambda*"
    firewall        = "${local.arn[stage].wafv2}:regional/webacl/event-api-${stage}/*"
    firewall_groups = "${local.arn[stage].wafv2}:regional/managedruleset/*/*"
    tags            = { "aws:ResourceTag/project" = "event-api", "aws:ResourceTag/stage" = stage }
    own_api         = { "aws:ResourceTag/event-api-${stage}" = "owner" }
    key_services    = { for service in ["dynamodb", "lambda"] : service => "${service}.${region}.amazonaws.com" }

    # API Gateway chooses the ids, and its ARNs have no account id.
    api      = "arn:${local.partition}:apigateway:${region}::/restapis"
    api_tags = "arn:${local.partition}:apigateway:${region}::/tags/${urlencode("arn:${local.partition}:apigateway:${region}::/restapis/")}*"

    api_tag_key  = "event-api-${stage}"
    other_stages = [for other in local.stages : "event-api-${other}" if other != stage] # their tag keys

    keys           = "${local.arn[stage].kms}:key/*" # KMS chooses the ids
    any_log_groups = "${local.arn[stage].logs}:log-group:*"
    autoscaling    = "${local.arn[stage].application-autoscaling}:scalable-target/*"
  } }

  functions = { for stage in local.stages : stage => {
    for name, suffix in { api_handler = "", authorizer = "-authorizer" } :
    name => "${local.arn[stage].lambda}:function:event-api-${stage}${suffix}"
  } }

  log_groups = { for stage in local.stages : stage => {
    for name, group in {
      api_handler = "/aws/lambda/event-api-${stage}"
      authorizer  = "/aws/lambda/event-api-${stage}-authorizer"
      access      = "/aws/apigateway/event-api-${stage}"
      firewall    = "aws-waf-logs-event-api-${stage}"
    } : name => "${local.arn[stage].logs}:log-group:${group}"
  } }

  services = ["application-autoscaling", "cloudwatch", "codedeploy", "dynamodb", "kms", "lambda", "logs", "sns", "wafv2"]
  arn = { for stage, region in local.regions : stage => {
    for service in local.services : service => "arn:${local.partition}:${service}:${region}:${local.account}"
  } }

  alarm_prefix = "TargetTracking-table/event-api-" # the start of the names of autoscaling's alarms
}
