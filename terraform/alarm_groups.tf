# Groups of alarms: a group sends one message, also if several members are in alarm. The message names the members.
locals {
  # The store's problems make API and functions fail too. Then only the group `store` sends a message.
  alarm_groups = { for name, group in {
    store = {
      means   = "The store does not work as it should"
      members = keys(local.store_alarms)
    }
    failing = {
      means   = "The API or a function fails, and the store is not the cause"
      members = [for name in concat(keys(local.api_alarms), keys(local.function_alarms)) : name if name != "altered"]
    }
    refused = {
      means   = "Many requests are refused"
      members = keys(local.caller_alarms)
    }
  } : name => group if var.alarms != null }

  grouped = flatten([for group in local.alarm_groups : group.members])
}

resource "aws_cloudwatch_composite_alarm" "store" {
  count = var.alarms == null ? 0 : 1

  alarm_name        = local.alarm_names.store
  alarm_description = "${local.alarm_groups.store.means}. ${local.runbook}store"
  alarm_rule        = join(" OR ", [for name in local.alarm_groups.store.members : "ALARM(${local.alarm_names[name]})"])
  alarm_actions     = [aws_sns_topic.alarms[0].arn]

  depends_on = [aws_cloudwatch_metric_alarm.this]
}

resource "aws_cloudwatch_composite_alarm" "failing" {
  count = var.alarms == null ? 0 : 1

  alarm_name        = local.alarm_names.failing
  alarm_description = "${local.alarm_groups.failing.means}. ${local.runbook}failing"
  alarm_rule        = join(" OR ", [for name in local.alarm_groups.failing.members : "ALARM(${local.alarm_names[name]})"])
  alarm_actions     = [aws_sns_topic.alarms[0].arn]

  # Waits this many seconds for the group `store`, which may be in alarm a little later.
  actions_suppressor {
    alarm            = aws_cloudwatch_composite_alarm.store[0].alarm_name
    wait_period      = 120
    extension_period = 120
  }

  depends_on = [aws_cloudwatch_metric_alarm.this]
}

resource "aws_cloudwatch_composite_alarm" "refused" {
  count = var.alarms == null ? 0 : 1

  alarm_name        = local.alarm_names.refused
  alarm_description = "${local.alarm_groups.refused.means}. ${local.runbook}refused"
  alarm_rule        = join(" OR ", [for name in local.alarm_groups.refused.members : "ALARM(${local.alarm_names[name]})"])
  alarm_actions     = [aws_sns_topic.alarms[0].arn]

  depends_on = [aws_cloudwatch_metric_alarm.this]
}
