# The write-once rule of a protected stage's events. AWS enforces it for every caller, administrators too. Only a person
# may set this policy, or remove it: see docs/operations.md. AWS itself still deletes expired events.
resource "aws_dynamodb_resource_policy" "events" {
  count = var.protected ? 1 : 0

  resource_arn = aws_dynamodb_table.events.arn
  policy       = data.aws_iam_policy_document.events.json
}

# The table by its name, so that a plan shows the whole policy before the table exists.
locals {
  events_arn = "arn:${data.aws_partition.this.partition}:dynamodb:${local.region_and_account}:table/event-api-${var.stage}-events"
}

data "aws_iam_policy_document" "events" {
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
    resources = [local.events_arn]

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
    resources = [local.events_arn]

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
