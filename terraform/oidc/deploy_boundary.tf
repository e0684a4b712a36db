# The limit of a deploy role: no attached policy can permit more. The role can change the resources of its stage. It
# cannot read or write the stored data, and it cannot give itself or others more permissions.
resource "aws_iam_policy" "deploy_boundary" {
  for_each = local.stages

  name        = "event-api-deploy-boundary-${each.key}"
  description = "The most that deploying the Event API's stage ${each.key} can take."
  policy      = data.aws_iam_policy_document.deploy_boundary[each.key].json
}

data "aws_iam_policy_document" "deploy_boundary" {
  # checkov:skip=CKV_AWS_107:A boundary permits nothing by itself; the role's own policies name each action.
  # checkov:skip=CKV_AWS_109:A boundary permits nothing by itself; the role's own policies name each action.
  # checkov:skip=CKV_AWS_111:A boundary permits nothing by itself; the role's own policies name each action.
  # checkov:skip=CKV_AWS_356:A boundary permits nothing by itself; the role's own policies name each action.
  for_each = local.names

  statement {
    sid = "OwnStage"
    actions = [
      "apigateway:*",
      "cloudwatch:*",
      "codedeploy:*",
      "dynamodb:*",
      "lambda:*Alias", # only what a deployment needs: no function URL, whole policy or destination of events
      "lambda:*FunctionConcurrency",
      "lambda:*Permission",
      "lambda:CreateFunction",
      "lambda:DeleteFunction",
      "lambda:Get*",
      "lambda:List*",
      "lambda:PublishVersion",
      "lambda:TagResource",
      "lambda:UntagResource",
      "lambda:UpdateFunctionCo*", # code and configuration
      "logs:*",
      "s3:*Object",
      "s3:ListBucket",
      "sns:*",
      "wafv2:*",
    ]
    resources = concat(
      each.value.events,
      [each.value.tokens, each.value.alarms, each.value.own_alarms, each.value.firewall],
      [each.value.dashboard, each.value.topic],
      each.value.short_function_arns,
      each.value.short_log_arns,
      [local.state_bucket, local.state[each.key], "${local.state[each.key]}.tflock"],
      # AWS chooses these names. The role's own policies restrict them to the stage.
      [each.value.api, "${each.value.api}/*", each.value.api_tags],
      [each.value.firewall_groups],
      [each.value.releases],
    )
  }

  statement {
    sid       = "OwnScaling"
    actions   = ["application-autoscaling:*"]
    resources = [each.value.autoscaling]

    condition {
      test     = "StringEqualsIfExists" # AWS sends it with each change of scaling, but not with tags
      variable = "application-autoscaling:service-namespace"
      values   = ["dynamodb"]
    }
  }

  statement {
    sid = "Unnamed"
    actions = [
      "application-autoscaling:Describe*",
      "cloudwatch:DescribeAlarms",
      "cloudwatch:PutCompositeAlarm",
      "codedeploy:GetDeploymentConfig",
      "kms:ListAliases",
      "logs:DescribeLogGroups",
      "logs:DescribeResourcePolicies",
      "sns:GetSubscriptionAttributes",
    ]
    resources = ["*"]
  }

  # A person creates and changes the key. A key without the stage's tags is out of reach, so the role cannot claim it.
  statement {
    sid       = "OwnKey"
    actions   = concat(["kms:Describe*", "kms:Get*", "kms:List*"], local.key_uses)
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

  # A person creates and changes the roles of the functions and of CodeDeploy, too.
  statement {
    sid       = "OwnRoles"
    actions   = ["iam:PassRole"]
    resources = concat(values(each.value.roles), [each.value.release_role])

    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["codedeploy.amazonaws.com", "lambda.amazonaws.com"]
    }
  }

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

  # A deploy role cannot read or write events, tokens or log entries, and it cannot call a function.
  statement {
    sid    = "NeverWhatIsKept"
    effect = "Deny"
    actions = [
      "dynamodb:*Item",
      "dynamodb:*Records",
      "dynamodb:DeleteResourcePolicy",
      "dynamodb:ExportTableToPointInTime",
      "dynamodb:PartiQL*",
      "dynamodb:PutResourcePolicy",
      "dynamodb:Query",
      "dynamodb:RestoreTable*",
      "dynamodb:Scan",
      "lambda:Invoke*",
      "logs:CreateExportTask",
      "logs:FilterLogEvents",
      "logs:GetLog*",
      "logs:PutLogEvents",
      "logs:PutSubscriptionFilter",
      "logs:Start*",
      "wafv2:DeleteLoggingConfiguration",
      "wafv2:GetSampledRequests",
      "wafv2:PutLoggingConfiguration",
    ]
    resources = ["*"]
  }

  # A deploy role can only read the settings of a protected stage's tables and logs, of the alarm on altered events, of the
  # groups of alarms, and of their topic. Only a person can create, change or delete them. AWS has no condition for
  # "disable recovery" or "shorter retention", so every change is denied.
  dynamic "statement" {
    for_each = contains(local.protected, each.key) ? [each.value] : []

    content {
      sid    = "NeverWhatIsProtected"
      effect = "Deny"
      not_actions = [
        "cloudwatch:Describe*",
        "cloudwatch:List*",
        "dynamodb:Describe*",
        "dynamodb:GetResourcePolicy",
        "dynamodb:List*",
        "logs:Describe*",
        "logs:List*",
        "sns:Get*",
        "sns:List*",
      ]
      resources = statement.value.kept
    }
  }

  # In a protected stage, only a person can decide who may call a function, detach the firewall, and group alarms. AWS
  # cannot limit lambda:AddPermission to the stage's API: its condition knows the caller's service only.
  dynamic "statement" {
    for_each = contains(local.protected, each.key) ? [each.value] : []

    content {
      sid    = "NeverWithoutAPerson"
      effect = "Deny"
      actions = [
        "cloudwatch:PutCompositeAlarm",
        "lambda:*Permission", # to add and to remove one
        "wafv2:DisassociateWebACL",
      ]
      resources = ["*"]
    }
  }

  dynamic "statement" {
    for_each = contains(local.protected, each.key) ? [] : [each.value.others_alarms]

    content {
      sid       = "NeverAlarmsOfOthers"
      effect    = "Deny"
      actions   = ["cloudwatch:PutCompositeAlarm"]
      resources = statement.value
    }
  }

  statement {
    sid       = "NeverTheKeyItself"
    effect    = "Deny"
    actions   = local.key_uses
    resources = ["*"]

    condition {
      test     = "StringNotEquals"
      variable = "kms:ViaService"
      values   = values(each.value.key_services)
    }
  }

  dynamic "statement" {
    for_each = contains(local.protected, each.key) ? [] : ["apigateway.amazonaws.com"]

    content {
      sid       = "NeverToOthers"
      effect    = "Deny"
      actions   = ["lambda:AddPermission"]
      resources = ["*"]

      condition {
        test     = "StringNotEquals"
        variable = "lambda:Principal"
        values   = [statement.value]
      }
    }
  }

  # AWS chooses the ids of APIs. The role cannot touch one that has another stage's tag key, even if it also has its own.
  dynamic "statement" {
    for_each = each.value.other_stages

    content {
      sid       = "Never${title(trimprefix(statement.value, "event-api-"))}"
      effect    = "Deny"
      actions   = ["apigateway:*"]
      resources = ["*"]

      condition {
        test     = "Null"
        variable = "aws:ResourceTag/${statement.value}"
        values   = ["false"]
      }
    }
  }

  # API Gateway's log role can write to every log group. Without this statement, callers of a stage could add lines to the
  # log of another stage or of a function.
  statement {
    sid       = "NeverAccessLogOfOthers"
    effect    = "Deny"
    actions   = ["apigateway:P*"] # PATCH, POST and PUT, with fewer characters
    resources = ["*"]

    condition {
      test     = "Null"
      variable = "apigateway:Request/AccessLoggingDestination"
      values   = ["false"]
    }

    condition {
      test     = "StringNotEquals"
      variable = "apigateway:Request/AccessLoggingDestination"
      values   = [each.value.log_groups.access]
    }
  }

  # AWS does not tell IAM whose API it is when a tag is set or removed. So the role can remove no tag.
  statement {
    sid       = "NeverWithoutTags"
    effect    = "Deny"
    actions   = ["apigateway:DELETE", "apigateway:PATCH"]
    resources = ["arn:${local.partition}:apigateway:*::/tags/*"]
  }

  statement {
    sid       = "NeverTagsOfAnotherStage"
    effect    = "Deny"
    actions   = ["apigateway:*"]
    resources = ["*"]

    condition {
      test     = "ForAnyValue:StringEqualsIgnoreCase"
      variable = "aws:TagKeys"
      values   = each.value.other_stages
    }
  }
}

locals {
  key_uses = ["kms:CreateGrant", "kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
}
