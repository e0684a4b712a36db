# The write-once rule of a protected stage's events. AWS enforces it for every caller, administrators too. Only a person
# may set this policy, or remove it: see docs/operations.md. AWS itself still deletes expired events.
resource "aws_dynamodb_resource_policy" "events" {
  for_each = toset(var.protected ? var.events_tables : [])

  resource_arn = aws_dynamodb_table.events[each.key].arn
  policy       = data.aws_iam_policy_document.events[each.key].json
}

# Stages that were deployed before the setting `events_tables` keep their policy.
moved {
  from = aws_dynamodb_resource_policy.events[0]
  to   = aws_dynamodb_resource_policy.events["events"]
}

# The tables by their names, so that a plan shows the whole policy before a table exists.
locals {
  events_arns = { for name in var.events_tables :
    name => "arn:${data.aws_partition.this.partition}:dynamodb:${local.region_and_account}:table/event-api-${var.stage}-${name}"
  }
}

data "aws_iam_policy_document" "events" {
  for_each = local.events_arns

  statement {
    sid    = "NobodyChangesAnEvent"
    effect = "Deny"
    actions = [
      "dynamodb:BatchWriteItem",
      "dynamodb:DeleteItem",
      "dynamodb:PartiQLDelete",
      "dynamodb:PartiQLInsert",
      "dynamodb:PartiQLUpdate",
      "dynamodb:UpdateItem",
    ]
    resources = [each.value]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "BoolIfExists"
      variable = "aws:PrincipalIsAWSService"
      values   = ["false"]
    }
  }

  # A table's policy cannot use lambda:SourceFunctionArn. The role's policy in oidc/ does.
  statement {
    sid       = "OnlyTheFunctionStoresEvents"
    effect    = "Deny"
    actions   = ["dynamodb:PutItem"]
    resources = [each.value]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "ArnNotEquals"
      variable = "aws:PrincipalArn"
      values   = [local.function_roles.api_handler]
    }

    condition {
      test     = "BoolIfExists"
      variable = "aws:PrincipalIsAWSService"
      values   = ["false"]
    }
  }
}
