# Each stage has a role that can only read. A job of the environment <stage>-check takes it, before a person approves the
# plan. It cannot write, not even a lock: use `terraform plan -lock=false`.
resource "aws_iam_role" "plan" {
  for_each = local.stages

  name                 = "event-api-plan-${each.key}"
  description          = "By which GitHub's environment ${each.key}-check plans the Event API."
  assume_role_policy   = data.aws_iam_policy_document.trust["plan-${each.key}"].json
  permissions_boundary = aws_iam_policy.plan[each.key].arn
}

resource "aws_iam_policy" "plan" {
  for_each = local.stages

  name        = "event-api-plan-${each.key}"
  description = "What planning the Event API's stage ${each.key} takes."
  policy      = data.aws_iam_policy_document.plan[each.key].json
}

resource "aws_iam_role_policy_attachment" "plan" {
  for_each = local.stages

  role       = aws_iam_role.plan[each.key].name
  policy_arn = aws_iam_policy.plan[each.key].arn
}

data "aws_iam_policy_document" "plan" {
  # checkov:skip=CKV_AWS_356:Actions that list support no resource; the others name theirs.
  for_each = local.names

  source_policy_documents = [data.aws_iam_policy_document.environment[each.key].json]

  statement {
    sid       = "State"
    actions   = ["s3:GetObject"]
    resources = [local.state[each.key]]
  }

  statement {
    sid       = "StateList" # without it, S3 responds with 403 while the state does not exist yet
    actions   = ["s3:ListBucket"]
    resources = [local.state_bucket]
  }

  statement {
    sid = "Table"
    actions = [
      "dynamodb:DescribeContinuousBackups",
      "dynamodb:DescribeTable",
      "dynamodb:DescribeTimeToLive",
      "dynamodb:GetResourcePolicy",
      "dynamodb:ListTagsOfResource",
    ]
    resources = concat(each.value.events, [each.value.tokens])
  }

  statement {
    sid       = "Scaling"
    actions   = ["application-autoscaling:ListTagsForResource"]
    resources = [each.value.autoscaling]
  }

  statement {
    sid = "Lists"
    actions = [
      "application-autoscaling:DescribeScalableTargets",
      "application-autoscaling:DescribeScalingPolicies",
      "cloudwatch:DescribeAlarms",
      "kms:ListAliases",
      "logs:DescribeResourcePolicies",
      "sns:GetSubscriptionAttributes",
    ]
    resources = ["*"]
  }

  statement {
    sid = "Function"
    actions = [
      "lambda:GetAlias",
      "lambda:GetFunction",
      "lambda:GetFunctionCodeSigningConfig",
      "lambda:GetFunctionConfiguration",
      "lambda:GetPolicy",
      "lambda:ListTags",
      "lambda:ListVersionsByFunction",
    ]
    resources = flatten(values(each.value.function_arns))
  }

  statement {
    sid       = "Logs"
    actions   = ["logs:DescribeMetricFilters", "logs:ListTagsForResource"]
    resources = each.value.log_arns
  }

  statement {
    sid       = "Alarms"
    actions   = ["cloudwatch:ListTagsForResource"]
    resources = [each.value.own_alarms]
  }

  statement {
    sid       = "Dashboard"
    actions   = ["cloudwatch:GetDashboard"]
    resources = [each.value.dashboard]
  }

  statement {
    sid       = "Topic"
    actions   = ["sns:GetTopicAttributes", "sns:ListTagsForResource"]
    resources = [each.value.topic]
  }

  statement {
    sid       = "LogsList"
    actions   = ["logs:DescribeLogGroups"]
    resources = [each.value.any_log_groups]
  }

  statement {
    sid       = "Release"
    actions   = ["codedeploy:GetApplication", "codedeploy:GetDeploymentGroup", "codedeploy:ListTagsForResource"]
    resources = [each.value.release_app, each.value.release_groups]
  }

  statement {
    sid       = "Firewall"
    actions   = ["wafv2:GetLoggingConfiguration", "wafv2:GetWebACL", "wafv2:ListTagsForResource"]
    resources = [each.value.firewall]
  }

  statement {
    sid       = "FirewallOfStage"
    actions   = ["wafv2:GetWebACLForResource"]
    resources = ["${each.value.api}/*/stages/${each.key}"]
  }

  statement {
    sid       = "Key"
    actions   = ["kms:DescribeKey", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListResourceTags"]
    resources = [each.value.keys]

    dynamic "condition" {
      for_each = each.value.tags

      content {
        test     = "StringEquals"
        variable = condition.key
        values   = [condition.value]
      }
    }
  }

  statement {
    sid       = "Api"
    actions   = ["apigateway:GET"]
    resources = [each.value.api, "${each.value.api}/*", each.value.api_tags]
  }
}

# For the roles that read a function's configuration: it includes the environment, which Lambda decrypts with the stage's
# key.
data "aws_iam_policy_document" "environment" {
  for_each = local.names

  statement {
    sid       = "KeyByLambda"
    actions   = ["kms:Decrypt"]
    resources = [each.value.keys]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = [each.value.key_services.lambda]
    }

    dynamic "condition" {
      for_each = each.value.tags

      content {
        test     = "StringEquals"
        variable = condition.key
        values   = [condition.value]
      }
    }
  }
}
