# One role a stage, for the jobs of that stage's GitHub environment.
resource "aws_iam_role" "deploy" {
  for_each = local.stages

  name                 = "event-api-deploy-${each.key}"
  description          = "By which GitHub's environment ${each.key} deploys the Event API."
  assume_role_policy   = data.aws_iam_policy_document.trust[each.key].json
  permissions_boundary = aws_iam_policy.deploy[each.key].arn
}

# The policy is the boundary too: nothing that anybody attaches to the role adds to what stands here.
resource "aws_iam_policy" "deploy" {
  for_each = local.stages

  name        = "event-api-deploy-${each.key}"
  description = "All that deploying the Event API's stage ${each.key} takes."
  policy      = data.aws_iam_policy_document.deploy[each.key].json
}

resource "aws_iam_role_policy_attachment" "deploy" {
  for_each = local.stages

  role       = aws_iam_role.deploy[each.key].name
  policy_arn = aws_iam_policy.deploy[each.key].arn
}

data "aws_iam_policy_document" "deploy" {
  # checkov:skip=CKV_AWS_356:AWS knows no resource for what lists alarms and scalings; the others name theirs.
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
    sid       = "StateList" # without it S3 answers 403 for a state that does not exist yet
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
      "dynamodb:ListTagsOfResource",
      "dynamodb:TagResource",
      "dynamodb:UntagResource",
      "dynamodb:UpdateContinuousBackups",
      "dynamodb:UpdateTable",
      "dynamodb:UpdateTimeToLive",
    ]
    resources = [each.value.table]
  }

  # AWS makes up a scaling's id as well; that it is a table's is what can be said of it.
  statement {
    sid = "Scaling"
    actions = [
      "application-autoscaling:DeleteScalingPolicy",
      "application-autoscaling:DeregisterScalableTarget",
      "application-autoscaling:PutScalingPolicy",
      "application-autoscaling:RegisterScalableTarget",
    ]
    resources = [local.autoscaling]

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
    resources = [local.autoscaling]
  }

  statement {
    sid       = "ScalingAlarms"
    actions   = ["cloudwatch:DeleteAlarms", "cloudwatch:PutMetricAlarm"]
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

  # By these two roles AWS itself scales tables, and API Gateway sends traces. AWS makes each once an account.
  statement {
    sid       = "ServiceRoles"
    actions   = ["iam:CreateServiceLinkedRole"]
    resources = ["${local.iam}:role/aws-service-role/*"]

    condition {
      test     = "StringEquals"
      variable = "iam:AWSServiceName"
      values   = [local.autoscaling_service, "ops.apigateway.amazonaws.com"]
    }
  }

  statement {
    sid = "Function"
    actions = [
      "lambda:AddPermission",
      "lambda:CreateAlias",
      "lambda:CreateFunction",
      "lambda:DeleteAlias",
      "lambda:DeleteFunction",
      "lambda:GetAlias",
      "lambda:GetFunction",
      "lambda:GetFunctionCodeSigningConfig",
      "lambda:GetFunctionConfiguration",
      "lambda:GetPolicy",
      "lambda:ListTags",
      "lambda:ListVersionsByFunction",
      "lambda:PublishVersion",
      "lambda:RemovePermission",
      "lambda:TagResource",
      "lambda:UntagResource",
      "lambda:UpdateAlias",
      "lambda:UpdateFunctionCode",
      "lambda:UpdateFunctionConfiguration",
    ]
    resources = [each.value.function, "${each.value.function}:*"]
  }

  statement {
    sid = "FunctionRole"
    actions = [
      "iam:DeleteRole",
      "iam:GetRole",
      "iam:GetRolePolicy",
      "iam:ListAttachedRolePolicies",
      "iam:ListInstanceProfilesForRole",
      "iam:ListRolePolicies",
      "iam:TagRole",
      "iam:UntagRole",
      "iam:UpdateAssumeRolePolicy",
      "iam:UpdateRole",
      "iam:UpdateRoleDescription",
    ]
    resources = [each.value.function_role]
  }

  statement {
    sid = "FunctionRoleWithinBoundary"
    actions = [
      "iam:CreateRole",
      "iam:DeleteRolePolicy",
      "iam:PutRolePermissionsBoundary",
      "iam:PutRolePolicy",
    ]
    resources = [each.value.function_role]

    condition {
      test     = "StringEquals"
      variable = "iam:PermissionsBoundary"
      values   = [each.value.boundary]
    }
  }

  statement {
    sid       = "FunctionRoleToLambda"
    actions   = ["iam:PassRole"]
    resources = [each.value.function_role]

    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["lambda.amazonaws.com"]
    }
  }

  statement {
    sid = "Logs"
    actions = [
      "logs:CreateLogGroup",
      "logs:DeleteLogGroup",
      "logs:DeleteRetentionPolicy",
      "logs:ListTagsForResource",
      "logs:PutRetentionPolicy",
      "logs:TagResource",
      "logs:UntagResource",
    ]
    resources = flatten([for group in [each.value.function_log, each.value.access_log] : [group, "${group}:*"]])
  }

  statement {
    sid       = "LogsList"
    actions   = ["logs:DescribeLogGroups"]
    resources = [local.log_groups]
  }

  statement {
    sid       = "ApiRead"
    actions   = ["apigateway:GET"]
    resources = [local.api, "${local.api}/*", local.api_tags]
  }

  statement {
    sid       = "ApiMake"
    actions   = ["apigateway:POST"]
    resources = [local.api]

    condition {
      test     = "StringEquals"
      variable = "aws:RequestTag/project"
      values   = ["event-api"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:RequestTag/stage"
      values   = [each.key]
    }
  }

  # Whatever belongs to an API counts as tagged like the API:
  # https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-tagging-supported-resources.html
  statement {
    sid       = "ApiChange"
    actions   = ["apigateway:DELETE", "apigateway:PATCH", "apigateway:POST", "apigateway:PUT"]
    resources = ["${local.api}/*"]

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/project"
      values   = ["event-api"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/stage"
      values   = [each.key]
    }
  }

  # To make a tagged API or stage takes this too, when the one to be tagged does not exist yet and has no tag. A tag
  # that is there already stays within the stage: no API can be claimed from another one.
  statement {
    sid       = "ApiTag"
    actions   = ["apigateway:PUT"]
    resources = [local.api_tags]

    dynamic "condition" {
      for_each = setproduct(["RequestTag", "ResourceTag"], [["project", "event-api"], ["stage", each.key]])

      content {
        test     = "StringEqualsIfExists"
        variable = "aws:${condition.value[0]}/${condition.value[1][0]}"
        values   = [condition.value[1][1]]
      }
    }
  }

  statement {
    sid     = "NeverItself"
    effect  = "Deny"
    actions = ["iam:*"]
    resources = [
      "${local.iam}:role/event-api-deploy-*",
      "${local.iam}:role/event-api-plan",
      "${local.iam}:role/event-api-gateway-log",
      "${local.iam}:policy/event-api-*",
      "${local.iam}:oidc-provider/*",
    ]
  }
}

locals {
  autoscaling_service = "dynamodb.application-autoscaling.amazonaws.com"
}
