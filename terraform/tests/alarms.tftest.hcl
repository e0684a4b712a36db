mock_provider "aws" {
  source = "./tests/mocks"
}

run "a_stage_without_alarms_has_nothing_of_them" {
  command = plan

  variables {
    alarms      = null
    alarm_email = "ops@example.com"
  }

  assert {
    condition = sum([for made in [
      aws_cloudwatch_metric_alarm.this,
      aws_cloudwatch_composite_alarm.store,
      aws_cloudwatch_composite_alarm.failing,
      aws_cloudwatch_composite_alarm.refused,
      aws_cloudwatch_log_metric_filter.this,
      aws_cloudwatch_dashboard.this,
      aws_sns_topic.alarms,
      aws_sns_topic_subscription.alarms,
    ] : length(made)]) == 0 && length(local.release_alarms) == 0
    error_message = "With alarms = null there is no alarm, group, metric, dashboard, topic or address."
  }
}

run "alarms_follow_the_setting" {
  command = plan

  variables {
    firewall    = null
    alarm_email = "ops@example.com"
    alarms      = { server_errors = 7, slow_ms = { authorizer = 900 } }
  }

  assert {
    condition = (
      aws_cloudwatch_metric_alarm.this["api-5xx"].threshold == 7
      && aws_cloudwatch_metric_alarm.this["authorizer-slow"].threshold == 900
      && aws_cloudwatch_metric_alarm.this["api-handler-slow"].threshold == 3000
      && aws_cloudwatch_metric_alarm.this["altered"].threshold == 1
    )
    error_message = "A member of alarms sets its alarm's threshold. The others keep their defaults."
  }

  assert {
    condition     = !contains(keys(aws_cloudwatch_metric_alarm.this), "blocked")
    error_message = "Without a firewall there is no alarm on what it blocks."
  }

  assert {
    condition = alltrue([
      for alarm in aws_cloudwatch_metric_alarm.this : alarm.treat_missing_data == "notBreaching" && alarm.period == 60
    ])
    error_message = "An API without traffic is no problem."
  }

  # One cause sends one message.

  assert {
    condition = (
      sort(concat(local.grouped, ["altered"])) == sort(keys(aws_cloudwatch_metric_alarm.this))
      && [for name, alarm in aws_cloudwatch_metric_alarm.this : name if length(coalesce(alarm.alarm_actions, [])) > 0] == ["altered"]
    )
    error_message = "Every alarm but `altered` is a member of exactly one group, and sends nothing itself."
  }

  assert {
    condition = alltrue([
      for name, group in {
        store   = aws_cloudwatch_composite_alarm.store[0]
        failing = aws_cloudwatch_composite_alarm.failing[0]
        refused = aws_cloudwatch_composite_alarm.refused[0]
      } :
      group.alarm_name == "event-api-${var.stage}-${name}" && group.alarm_rule == join(" OR ", [
        for member in local.alarm_groups[name].members : "ALARM(event-api-${var.stage}-${member})"
      ])
    ])
    error_message = "A group is in alarm if one of its members is."
  }

  assert {
    condition = (
      one(aws_cloudwatch_composite_alarm.failing[0].actions_suppressor).alarm == "event-api-${var.stage}-store"
    )
    error_message = "While the store is in alarm, the group of its consequences sends nothing."
  }

  # What a release looks at.

  assert {
    condition = (
      length(local.release_alarms) <= 10
      && length(setsubtract(local.release_alarms, [for alarm in aws_cloudwatch_metric_alarm.this : alarm.alarm_name])) == 0
      && contains(local.release_alarms, "event-api-${var.stage}-api-5xx")
    )
    error_message = "CodeDeploy takes at most ten alarms, and they exist."
  }

  # The topic.

  assert {
    condition     = aws_sns_topic.alarms[0].kms_master_key_id == "alias/event-api-alarms"
    error_message = "A stage without its own key encrypts messages with the alarms' key of terraform/oidc."
  }

  assert {
    condition     = aws_sns_topic_subscription.alarms[0].endpoint == "ops@example.com"
    error_message = "The address gets the messages."
  }
}
