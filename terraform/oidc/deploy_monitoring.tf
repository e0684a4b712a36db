# What the deploy role may do with alarms, their topic and metrics, and the dashboard.
resource "aws_iam_policy" "deploy_monitoring" {
  for_each = local.stages

  name        = "event-api-deploy-monitoring-${each.key}"
  description = "What deploying the Event API's stage ${each.key} takes: alarms, dashboard."
  policy      = data.aws_iam_policy_document.deploy_monitoring[each.key].json
}

resource "aws_iam_role_policy_attachment" "deploy_monitoring" {
  for_each = local.stages

  role       = aws_iam_role.deploy[each.key].name
  policy_arn = aws_iam_policy.deploy_monitoring[each.key].arn
}

data "aws_iam_policy_document" "deploy_monitoring" {
  # checkov:skip=CKV_AWS_111:AWS accepts no resource for groups of alarms; the others name theirs.
  # checkov:skip=CKV_AWS_356:AWS accepts no resource for groups of alarms and e-mail addresses; the others name theirs.
  for_each = local.names

  # Other actions of an alarm could stop machines or call functions.
  # https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/iam-cw-condition-keys-alarm-actions.html
  statement {
    sid       = "Alarms"
    actions   = ["cloudwatch:PutMetricAlarm"]
    resources = [each.value.own_alarms]

    condition {
      test     = "ForAllValues:StringEquals"
      variable = "cloudwatch:AlarmActions"
      values   = [each.value.topic]
    }
  }

  # A group of alarms is a composite alarm. AWS says that this permission works only for all alarms of the account:
  # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutCompositeAlarm.html
  # The boundary keeps the role from other stages' alarms, and in a protected stage from all groups.
  statement {
    sid       = "AlarmGroups"
    actions   = ["cloudwatch:PutCompositeAlarm"]
    resources = ["*"]

    condition {
      test     = "ForAllValues:StringEquals"
      variable = "cloudwatch:AlarmActions"
      values   = [each.value.topic]
    }
  }

  statement {
    sid = "AlarmsAndGroups"
    actions = [
      "cloudwatch:DeleteAlarms",
      "cloudwatch:ListTagsForResource",
      "cloudwatch:TagResource",
      "cloudwatch:UntagResource",
    ]
    resources = [each.value.own_alarms]
  }

  statement {
    sid       = "Dashboard"
    actions   = ["cloudwatch:DeleteDashboards", "cloudwatch:GetDashboard", "cloudwatch:PutDashboard"]
    resources = [each.value.dashboard]
  }

  # Only a person may remove an address: AWS accepts no resource for sns:Unsubscribe.
  statement {
    sid = "Topic"
    actions = [
      "sns:CreateTopic",
      "sns:DeleteTopic",
      "sns:GetTopicAttributes",
      "sns:ListTagsForResource",
      "sns:SetTopicAttributes",
      "sns:Subscribe",
      "sns:TagResource",
      "sns:UntagResource",
    ]
    resources = [each.value.topic]
  }

  statement {
    sid       = "Address"
    actions   = ["sns:GetSubscriptionAttributes"]
    resources = ["*"]
  }

  statement {
    sid       = "LogMetrics"
    actions   = ["logs:DeleteMetricFilter", "logs:DescribeMetricFilters", "logs:PutMetricFilter"]
    resources = each.value.log_arns
  }
}
