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
      "application-autoscaling:*",
      "cloudwatch:*",
      "dynamodb:*",
      "iam:*",
      "kms:*",
      "lambda:*",
      "logs:*",
      "s3:*Object",
      "s3:ListBucket",
      "wafv2:*",
    ]
    resources = concat(
      [each.value.table, each.value.tokens, each.value.alarms, each.value.firewall, each.value.alias],
      [for arn in each.value.functions : "${arn}*"],
      [for arn in each.value.logs : "${arn}*"],
      values(each.value.roles),
      [local.state_bucket, local.state[each.key], "${local.state[each.key]}.tflock"],
      # AWS chooses these names. The role's own policies restrict them to the stage.
      [each.value.api, "${each.value.api}/*", each.value.api_tags, each.value.autoscaling, each.value.keys],
      [each.value.firewall_groups],
      ["${local.iam}:role/aws-service-role/*"],
    )
  }

  statement {
    sid = "Unnamed"
    actions = [
      "application-autoscaling:Describe*",
      "cloudwatch:DescribeAlarms",
      "kms:CreateKey",
      "kms:ListAliases",
      "kms:TagResource",
      "logs:*LogDelivery",
      "logs:DescribeLogGroups",
      "logs:*ResourcePolic*",
    ]
    resources = ["*"]
  }

  # A deploy role cannot read or write events, tokens or log entries, and it cannot call a function.
  statement {
    sid    = "NeverWhatIsKept"
    effect = "Deny"
    actions = [
      "dynamodb:*Item",
      "dynamodb:*Records",
      "dynamodb:ExportTableToPointInTime",
      "dynamodb:PartiQL*",
      "dynamodb:PutResourcePolicy",
      "dynamodb:Query",
      "dynamodb:RestoreTable*",
      "dynamodb:Scan",
      "lambda:Invoke*",
      "logs:CreateExportTask",
      "logs:FilterLogEvents",
      "logs:GetLogEvents",
      "logs:GetLogRecord",
      "logs:PutLogEvents",
      "logs:PutSubscriptionFilter",
      "logs:Start*",
    ]
    resources = ["*"]
  }

  statement {
    sid       = "NeverTheKeyItself"
    effect    = "Deny"
    actions   = ["kms:CreateGrant", "kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
    resources = ["*"]

    condition {
      test     = "StringNotEquals"
      variable = "kms:ViaService"
      values   = each.value.key_services
    }
  }

  dynamic "statement" {
    for_each = { api_handler = each.value.boundary, authorizer = each.value.token_boundary }

    content {
      sid       = "Never${replace(title(statement.key), "_", "")}BeyondBoundary"
      effect    = "Deny"
      actions   = ["iam:AttachRolePolicy", "iam:CreateRole", "iam:Put*"]
      resources = [each.value.roles[statement.key]]

      condition {
        test     = "StringNotEquals"
        variable = "iam:PermissionsBoundary"
        values   = [statement.value]
      }
    }
  }

  statement {
    sid       = "NeverUnbound"
    effect    = "Deny"
    actions   = ["iam:DeleteRolePermissionsBoundary", "iam:UpdateAssumeRolePolicy"]
    resources = ["*"]
  }

  statement {
    sid       = "NeverToOthers"
    effect    = "Deny"
    actions   = ["lambda:AddPermission"]
    resources = ["*"]

    condition {
      test     = "StringNotEquals"
      variable = "lambda:Principal"
      values   = ["apigateway.amazonaws.com"]
    }
  }

  # AWS chooses the names of these resources. The role cannot touch one that has the tag of another stage.
  statement {
    sid       = "NeverAnotherStage"
    effect    = "Deny"
    actions   = ["apigateway:*", "kms:*"]
    resources = ["*"]

    condition {
      test     = "Null"
      variable = "aws:ResourceTag/stage"
      values   = ["false"]
    }

    condition {
      test     = "StringNotEquals"
      variable = "aws:ResourceTag/stage"
      values   = [each.key]
    }
  }

  statement {
    sid     = "NeverItself"
    effect  = "Deny"
    actions = ["iam:*"]
    resources = [
      "${local.iam}:role/event-api-deploy-*",
      "${local.iam}:role/event-api-plan-*",
      "${local.iam}:role/event-api-gateway-log",
      "${local.iam}:policy/event-api-*",
      "${local.iam}:oidc-provider/*",
    ]
  }
}
