# Each stage has one role. The jobs of the stage's GitHub environment take it.
resource "aws_iam_role" "deploy" {
  for_each = local.stages

  name                 = "event-api-deploy-${each.key}"
  description          = "By which GitHub's environment ${each.key} deploys the Event API."
  assume_role_policy   = data.aws_iam_policy_document.trust[each.key].json
  permissions_boundary = aws_iam_policy.deploy_boundary[each.key].arn
}

# There are four policies, because a policy has at most 6,144 characters. This one is for tables, functions and logs. The
# next one is for the API, the firewall and the key. The others are in deploy_monitoring.tf and deploy_release.tf.
resource "aws_iam_policy" "deploy" {
  for_each = local.stages

  name        = "event-api-deploy-${each.key}"
  description = "What deploying the Event API's stage ${each.key} takes: tables, functions, logs."
  policy      = data.aws_iam_policy_document.deploy[each.key].json
}

resource "aws_iam_policy" "deploy_edge" {
  for_each = local.stages

  name        = "event-api-deploy-edge-${each.key}"
  description = "What deploying the Event API's stage ${each.key} takes: API, firewall, key."
  policy      = data.aws_iam_policy_document.deploy_edge[each.key].json
}

resource "aws_iam_role_policy_attachment" "deploy" {
  for_each = local.stages

  role       = aws_iam_role.deploy[each.key].name
  policy_arn = aws_iam_policy.deploy[each.key].arn
}

resource "aws_iam_role_policy_attachment" "deploy_edge" {
  for_each = local.stages

  role       = aws_iam_role.deploy[each.key].name
  policy_arn = aws_iam_policy.deploy_edge[each.key].arn
}

data "aws_iam_policy_document" "deploy" {
  # checkov:skip=CKV_AWS_356:Actions that list alarms and autoscaling support no resource; the others name theirs.
  for_each = local.names

  statement {
    sid       = "State"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = [local.state[each.key]]
  }

  statement {
    sid       = "StateLock"
    actions   = ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
    resources = ["${local.state[each.key]}.tflock"]
  }

  statement {
    sid       = "StateList" # without it, S3 responds with 403 while the state does not exist yet
    actions   = ["s3:ListBucket"]
    resources = [local.state_bucket]
  }

  statement {
    sid = "Table"
    actions = [
      "dynamodb:CreateTable",
      "dynamodb:DeleteTable",
      "dynamodb:DescribeContinuousBackups",
      "dynamodb:DescribeTable",
      "dynamodb:DescribeTimeToLive",
      "dynamodb:GetResourcePolicy",
      "dynamodb:ListTagsOfResource",
      "dynamodb:TagResource",
      "dynamodb:UntagResource",
      "dynamodb:UpdateContinuousBackups",
      "dynamodb:UpdateTable",
      "dynamodb:UpdateTimeToLive",
    ]
    resources = concat(each.value.events, [each.value.tokens])
  }

  # AWS chooses the ids of autoscaling targets. The condition can only restrict them to DynamoDB.
  statement {
    sid = "Scaling"
    actions = [
      "application-autoscaling:DeleteScalingPolicy",
      "application-autoscaling:DeregisterScalableTarget",
      "application-autoscaling:PutScalingPolicy",
      "application-autoscaling:RegisterScalableTarget",
    ]
    resources = [each.value.autoscaling]

    condition {
      test     = "StringEquals"
      variable = "application-autoscaling:service-namespace"
      values   = ["dynamodb"]
    }
  }

  statement {
    sid = "ScalingTags"
    actions = [
      "application-autoscaling:ListTagsForResource",
      "application-autoscaling:TagResource",
      "application-autoscaling:UntagResource",
    ]
    resources = [each.value.autoscaling]
  }

  # The alarms belong to autoscaling. AWS demands that the caller, too, may set and delete them:
  # https://docs.aws.amazon.com/autoscaling/application/userguide/security_iam_permission_validation.html
  statement {
    sid       = "ScalingAlarms"
    actions   = ["cloudwatch:PutMetricAlarm"]
    resources = [each.value.alarms]

    condition {
      test     = "ForAllValues:StringLike"
      variable = "cloudwatch:AlarmActions"
      values   = [each.value.scaling_policies]
    }
  }

  statement {
    sid       = "ScalingAlarmsDeleted"
    actions   = ["cloudwatch:DeleteAlarms"]
    resources = [each.value.alarms]
  }

  statement {
    sid = "Lists"
    actions = [
      "application-autoscaling:DescribeScalableTargets",
      "application-autoscaling:DescribeScalingPolicies",
      "cloudwatch:DescribeAlarms",
    ]
    resources = ["*"]
  }

  # AWS scales tables with one of these two roles, and API Gateway sends traces with the other. AWS creates each
  # role once per account.
  statement {
    sid       = "ServiceRoles"
    actions   = ["iam:CreateServiceLinkedRole"]
    resources = ["${local.iam}:role/aws-service-role/*"]

    condition {
      test     = "StringEquals"
      variable = "iam:AWSServiceName"
      values   = local.service_roles
    }
  }

  statement {
    sid = "Function"
    actions = [
      "lambda:CreateAlias",
      "lambda:CreateFunction",
      "lambda:DeleteAlias",
      "lambda:DeleteFunction",
      "lambda:DeleteFunctionConcurrency",
      "lambda:GetAlias",
      "lambda:GetFunction",
      "lambda:GetFunctionCodeSigningConfig",
      "lambda:GetFunctionConfiguration",
      "lambda:GetPolicy",
      "lambda:ListTags",
      "lambda:ListVersionsByFunction",
      "lambda:PublishVersion",
      "lambda:PutFunctionConcurrency",
      "lambda:RemovePermission",
      "lambda:TagResource",
      "lambda:UntagResource",
      "lambda:UpdateAlias",
      "lambda:UpdateFunctionCode",
      "lambda:UpdateFunctionConfiguration",
    ]
    resources = flatten(values(each.value.function_arns))
  }

  statement {
    sid       = "FunctionToGateway"
    actions   = ["lambda:AddPermission"]
    resources = flatten(values(each.value.function_arns))

    condition {
      test     = "StringEquals"
      variable = "lambda:Principal"
      values   = ["apigateway.amazonaws.com"]
    }
  }

  statement {
    sid       = "FunctionRoleToLambda"
    actions   = ["iam:PassRole"]
    resources = values(each.value.roles)

    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["lambda.amazonaws.com"]
    }
  }

  statement {
    sid = "Logs"
    actions = [
      "logs:AssociateKmsKey",
      "logs:CreateLogGroup",
      "logs:DeleteLogGroup",
      "logs:DeleteRetentionPolicy",
      "logs:DisassociateKmsKey",
      "logs:ListTagsForResource",
      "logs:PutRetentionPolicy",
      "logs:TagResource",
      "logs:UntagResource",
    ]
    resources = each.value.log_arns
  }

  statement {
    sid       = "LogsList"
    actions   = ["logs:DescribeLogGroups"]
    resources = [each.value.any_log_groups]
  }
}

locals {
  service_roles = ["dynamodb.application-autoscaling.amazonaws.com", "ops.apigateway.amazonaws.com"]
}
