# The role of pull requests. It can read everything that a plan needs. It cannot write, not even a lock: use
# `terraform plan -lock=false`.
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
  # checkov:skip=CKV_AWS_356:Actions that list support no resource; the others name theirs.
  statement {
    sid       = "State"
    actions   = ["s3:GetObject"]
    resources = [for stage in local.stages : local.state[stage]]
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
      "dynamodb:ListTagsOfResource",
    ]
    resources = flatten([for stage in local.stages : [local.names[stage].table, local.names[stage].tokens]])
  }

  statement {
    sid       = "Scaling"
    actions   = ["application-autoscaling:ListTagsForResource"]
    resources = local.of_any_stage.autoscaling
  }

  statement {
    sid = "Lists"
    actions = [
      "application-autoscaling:DescribeScalableTargets",
      "application-autoscaling:DescribeScalingPolicies",
      "kms:ListAliases",
      "logs:DescribeResourcePolicies",
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
    resources = [for stage in local.stages : "${local.names[stage].functions[0]}*"]
  }

  statement {
    sid       = "FunctionRole"
    actions   = ["iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies"]
    resources = flatten([for stage in local.stages : values(local.names[stage].roles)])
  }

  statement {
    sid       = "Logs"
    actions   = ["logs:ListTagsForResource"]
    resources = flatten([for stage in local.stages : [for arn in local.names[stage].logs : "${arn}*"]])
  }

  statement {
    sid       = "LogsList"
    actions   = ["logs:DescribeLogGroups"]
    resources = local.of_any_stage.log_groups
  }

  statement {
    sid       = "Firewall"
    actions   = ["wafv2:GetLoggingConfiguration", "wafv2:GetWebACL", "wafv2:ListTagsForResource"]
    resources = [for stage in local.stages : local.names[stage].firewall]
  }

  statement {
    sid       = "FirewallOfStage"
    actions   = ["wafv2:GetWebACLForResource"]
    resources = [for stage, names in local.names : "${names.api}/*/stages/${stage}"]
  }

  statement {
    sid       = "Key"
    actions   = ["kms:DescribeKey", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListResourceTags"]
    resources = local.of_any_stage.keys

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/project"
      values   = ["event-api"]
    }
  }

  # Reading a function's configuration includes its environment, which Lambda decrypts.
  statement {
    sid       = "KeyByLambda"
    actions   = ["kms:Decrypt"]
    resources = local.of_any_stage.keys

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = [for region in distinct(values(local.regions)) : "lambda.${region}.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/project"
      values   = ["event-api"]
    }
  }

  statement {
    sid     = "Api"
    actions = ["apigateway:GET"]
    resources = concat(
      local.of_any_stage.api,
      [for api in local.of_any_stage.api : "${api}/*"],
      local.of_any_stage.api_tags,
    )
  }
}

# Resources whose names AWS chooses, in each region that has a stage.
locals {
  of_any_stage = { for kind in ["api", "api_tags", "autoscaling", "keys", "log_groups"] :
    kind => distinct([for names in local.names : names[kind]])
  }
}
