# The alarms of the stage. docs/runbook.md has a section for each: what it means, and what to do.
#
# One cause often triggers several alarms. So most alarms do nothing themselves: they are members of a group
# (alarm_groups.tf), and only the group sends a message.
locals {
  # Each alarm's short name => its full name. This contains the groups too.
  alarm_names = { for name in concat(keys(local.alarms), keys(local.alarm_groups)) : name => "event-api-${var.stage}-${name}" }

  # The alarms that roll a release back. The causes of the other alarms are load, the store or the callers.
  release_alarms = [
    for name in ["api-5xx", "api-handler-errors", "api-handler-slow", "authorizer-failures", "authorizer-slow", "altered"] :
    local.alarm_names[name] if contains(keys(local.alarms), name)
  ]

  # Each alarm's short name => its metric. The alarm fires at the count `at` in one minute. `section` is the runbook's
  # section, if it has another name than the alarm.
  alarms = {
    for name, alarm in merge(local.api_alarms, local.function_alarms, local.store_alarms, local.caller_alarms) :
    name => alarm if var.alarms != null
  }

  api_alarms = {
    api-5xx = {
      means      = "API Gateway sent responses with a status of 500 or more"
      namespace  = "AWS/ApiGateway"
      metric     = "5XXError"
      dimensions = { ApiName = "event-api-${var.stage}", Stage = var.stage }
      at         = try(var.alarms.server_errors, null)
    }
    authorizer-failures = {
      means      = "the authorizer could not check tokens"
      namespace  = local.metrics
      metric     = "AuthorizerFailures"
      dimensions = {}
      at         = try(var.alarms.authorizer_failures, null)
    }
    altered = {
      means      = "a stored event was changed outside of the API"
      namespace  = "event-api"
      metric     = "StoredEventAltered"
      statistic  = "Maximum" # other values that somebody publishes to this metric cannot hide a 1, as they could in a sum
      dimensions = { function = "event-api-${var.stage}" }
      at         = 1
    }
  }

  # The authorizer has no alarm on Lambda's metric Errors: it contains every request with a wrong token.
  function_alarms = merge(
    {
      api-handler-errors = {
        means      = "calls of the function failed: it crashed, or did not end in time"
        namespace  = "AWS/Lambda"
        metric     = "Errors"
        dimensions = { FunctionName = "event-api-${var.stage}" }
        at         = try(var.alarms.function_errors, null)
      }
    },
    { for name, function in local.functions_by_name : "${name}-throttled" => {
      section    = "throttled-functions"
      means      = "Lambda refused calls of the function, because too many ran at once"
      namespace  = "AWS/Lambda"
      metric     = "Throttles"
      dimensions = { FunctionName = function.name }
      at         = try(var.alarms.function_throttles, null)
    } },
    { for name, function in local.functions_by_name : "${name}-slow" => {
      section    = "slow-functions"
      means      = "one call of the function in a hundred took too long"
      namespace  = "AWS/Lambda"
      metric     = "Duration"
      percentile = "p99"
      minutes    = 3 # one slow call in a quiet minute is no problem
      dimensions = { FunctionName = function.name }
      at         = function.slow_ms
    } },
  )

  functions_by_name = {
    api-handler = { name = "event-api-${var.stage}", slow_ms = try(var.alarms.slow_ms.api_handler, null) }
    authorizer  = { name = "event-api-${var.stage}-authorizer", slow_ms = try(var.alarms.slow_ms.authorizer, null) }
  }

  # DynamoDB counts throttled and failed requests for each operation. A request to an index counts as one of its table.
  store_alarms = merge(
    {
      store-unavailable = {
        means      = "requests got 503, because the store throttled, failed or did not respond in time"
        namespace  = local.metrics
        metric     = "StoreUnavailable"
        dimensions = {}
        at         = try(var.alarms.store_unavailable, null)
      }
    },
    { for name, dimensions in local.table_operations : "${name}-throttled" => {
      section    = "throttled-requests"
      means      = "DynamoDB throttled requests"
      namespace  = "AWS/DynamoDB"
      metric     = "ThrottledRequests"
      dimensions = dimensions
      at         = try(var.alarms.store_throttles, null)
    } },
    { for name, dimensions in local.table_operations : "${name}-failed" => {
      section    = "failed-requests"
      means      = "DynamoDB failed to handle requests"
      namespace  = "AWS/DynamoDB"
      metric     = "SystemErrors"
      dimensions = dimensions
      at         = try(var.alarms.store_errors, null)
    } },
  )

  table_operations = {
    for name, operation in {
      events-put       = [local.events_table, "PutItem"]
      events-get       = [local.events_table, "GetItem"]
      events-batch-get = [local.events_table, "BatchGetItem"]
      events-query     = [local.events_table, "Query"]
      tokens-get       = [aws_dynamodb_table.tokens, "GetItem"]
    } : name => { TableName = operation[0].name, Operation = operation[1] }
  }

  caller_alarms = { for name, alarm in {
    unauthorized = {
      means      = "requests had no valid token (401)"
      namespace  = local.metrics
      metric     = "Unauthorized"
      dimensions = {}
      at         = try(var.alarms.unauthorized, null)
    }
    too-many-requests = {
      means      = "API Gateway refused requests over the throttle (429)"
      namespace  = local.metrics
      metric     = "TooManyRequests"
      dimensions = {}
      at         = try(var.alarms.too_many_requests, null)
    }
    blocked = {
      means      = "the firewall blocked requests"
      namespace  = "AWS/WAFV2"
      metric     = "BlockedRequests"
      dimensions = { WebACL = "event-api-${var.stage}", Region = var.region, Rule = "ALL" }
      at         = try(var.alarms.blocked, null)
    }
  } : name => alarm if name != "blocked" || var.firewall != null }

  runbook = "Runbook: docs/runbook.md#"
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name        = local.alarm_names[each.key]
  alarm_description = "In ${try("${each.value.minutes} of five minutes", "one minute")}, ${each.value.means}. ${local.runbook}${try(each.value.section, each.key)}"

  namespace          = each.value.namespace
  metric_name        = each.value.metric
  dimensions         = each.value.dimensions
  statistic          = can(each.value.percentile) ? null : try(each.value.statistic, "Sum")
  extended_statistic = try(each.value.percentile, null)
  period             = 60

  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = each.value.at
  # The alarm ends after five good minutes, so that a repeated problem sends one message.
  evaluation_periods  = 5
  datapoints_to_alarm = try(each.value.minutes, 1)
  treat_missing_data  = "notBreaching" # an idle API has no data

  # Every other alarm is a member of a group, which sends the message.
  alarm_actions = contains(local.grouped, each.key) ? [] : [aws_sns_topic.alarms[0].arn]
}
