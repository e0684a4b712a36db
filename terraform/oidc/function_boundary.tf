# The limits of the two roles of a stage's functions: no policy can permit more. The deploy role creates these roles.
resource "aws_iam_policy" "function_boundary" {
  for_each = local.stages

  name        = "event-api-function-boundary-${each.key}"
  description = "The most that the function of the Event API's stage ${each.key} can do."
  policy      = data.aws_iam_policy_document.function_boundary[each.key].json
}

resource "aws_iam_policy" "authorizer_boundary" {
  for_each = local.stages

  name        = "event-api-authorizer-boundary-${each.key}"
  description = "The most that the authorizer of the Event API's stage ${each.key} can do."
  policy      = data.aws_iam_policy_document.authorizer_boundary[each.key].json
}

data "aws_iam_policy_document" "function_boundary" {
  # checkov:skip=CKV_AWS_111:X-Ray's two actions support no resource; all others name their resource.
  # checkov:skip=CKV_AWS_356:X-Ray's two actions support no resource; all others name their resource.
  for_each = local.names

  statement {
    sid       = "Events"
    actions   = ["dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:PutItem"]
    resources = [each.value.table]
  }

  statement {
    sid       = "Lists"
    actions   = ["dynamodb:Query"]
    resources = [for index in ["by_subject", "by_time", "by_type"] : "${each.value.table}/index/${index}"]
  }

  statement {
    sid       = "Log"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${each.value.log}:*"]
  }

  statement {
    sid       = "Trace"
    actions   = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]
    resources = ["*"]
  }

  # If the stage has its own key, DynamoDB may use it for the table.
  statement {
    sid       = "KeyOfTable"
    actions   = local.table_key_actions
    resources = [each.value.keys]

    dynamic "condition" {
      for_each = merge(each.value.tags, { "kms:ViaService" = each.value.key_services[0] })

      content {
        test     = "StringEquals"
        variable = condition.key
        values   = [condition.value]
      }
    }
  }

  # This function may decrypt its own environment with the key.
  statement {
    sid       = "KeyOfEnvironment"
    actions   = ["kms:Decrypt"]
    resources = [each.value.keys]

    dynamic "condition" {
      for_each = merge(each.value.tags, {
        "kms:EncryptionContext:aws:lambda:FunctionArn" = each.value.functions[0]
      })

      content {
        test     = "StringEquals"
        variable = condition.key
        values   = [condition.value]
      }
    }
  }
}

data "aws_iam_policy_document" "authorizer_boundary" {
  # checkov:skip=CKV_AWS_111:X-Ray's two actions support no resource; all others name their resource.
  # checkov:skip=CKV_AWS_356:X-Ray's two actions support no resource; all others name their resource.
  for_each = local.names

  statement {
    sid       = "Tokens"
    actions   = ["dynamodb:GetItem"]
    resources = [each.value.tokens]
  }

  statement {
    sid       = "Log"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${each.value.authorizer_log}:*"]
  }

  statement {
    sid       = "Trace"
    actions   = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]
    resources = ["*"]
  }

  # If the stage has its own key, DynamoDB may use it for the table.
  statement {
    sid       = "KeyOfTable"
    actions   = local.table_key_actions
    resources = [each.value.keys]

    dynamic "condition" {
      for_each = merge(each.value.tags, { "kms:ViaService" = each.value.key_services[0] })

      content {
        test     = "StringEquals"
        variable = condition.key
        values   = [condition.value]
      }
    }
  }

  # This function may decrypt its own environment with the key.
  statement {
    sid       = "KeyOfEnvironment"
    actions   = ["kms:Decrypt"]
    resources = [each.value.keys]

    dynamic "condition" {
      for_each = merge(each.value.tags, {
        "kms:EncryptionContext:aws:lambda:FunctionArn" = each.value.functions[1]
      })

      content {
        test     = "StringEquals"
        variable = condition.key
        values   = [condition.value]
      }
    }
  }
}

locals {
  # DynamoDB needs these actions: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html
  table_key_actions = [
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
  ]
}
