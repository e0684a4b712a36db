# For pull requests: reads what a plan compares with, and writes nothing, not even a lock (plan with -lock=false).
resource "aws_iam_role" "plan" {
  name                 = "event-api-plan"
  description          = "By which GitHub's pull requests plan the Event API's stages."
  assume_role_policy   = data.aws_iam_policy_document.trust["plan"].json
  permissions_boundary = aws_iam_policy.plan.arn
}

resource "aws_iam_policy" "plan" {
  name        = "event-api-plan"
  description = "All that planning the Event API's stages takes."
  policy      = data.aws_iam_policy_document.plan.json
}

resource "aws_iam_role_policy_attachment" "plan" {
  role       = aws_iam_role.plan.name
  policy_arn = aws_iam_policy.plan.arn
}

data "aws_iam_policy_document" "plan" {
  # checkov:skip=CKV_AWS_356:AWS knows no resource for the two actions that list scalings; the others name theirs.
  statement {
    sid       = "State"
    actions   = ["s3:GetObject"]
    resources = [for stage in local.stages : local.state[stage]]
  }

  statement {
    sid       = "StateList" # without it S3 answers 403 for a state that does not exist yet
    actions   = ["s3:ListBucket"]
    resources = [local.state_bucket]
  }

  statement {
    sid = "Table"
    actions = [
      "dynamodb:DescribeContinuousBackups",
      "dynamodb:DescribeTable",
      "dynamodb:DescribeTimeToLive",
      "dynamodb:ListTagsOfResource",
    ]
    resources = [for stage in local.stages : local.names[stage].table]
  }

  statement {
    sid       = "Scaling"
    actions   = ["application-autoscaling:ListTagsForResource"]
    resources = [local.autoscaling]
  }

  statement {
    sid       = "Lists"
    actions   = ["application-autoscaling:DescribeScalableTargets", "application-autoscaling:DescribeScalingPolicies"]
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
    resources = flatten([for stage in local.stages : [local.names[stage].function, "${local.names[stage].function}:*"]])
  }

  statement {
    sid       = "FunctionRole"
    actions   = ["iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies"]
    resources = [for stage in local.stages : local.names[stage].function_role]
  }

  statement {
    sid     = "Logs"
    actions = ["logs:ListTagsForResource"]
    resources = flatten([
      for stage in local.stages : [
        for group in [local.names[stage].function_log, local.names[stage].access_log] : [group, "${group}:*"]
      ]
    ])
  }

  statement {
    sid       = "LogsList"
    actions   = ["logs:DescribeLogGroups"]
    resources = [local.log_groups]
  }

  statement {
    sid       = "Api"
    actions   = ["apigateway:GET"]
    resources = [local.api, "${local.api}/*", local.api_tags]
  }
}
