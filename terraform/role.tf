resource "aws_iam_role" "api_handler" {
  name               = "event-api-${var.stage}-api_handler"
  description        = "Permissions of the Event API's function."
  assume_role_policy = data.aws_iam_policy_document.lambda_trust.json

  # oidc/ creates it. The deploy role can create this role only with this boundary.
  permissions_boundary = "${local.iam}:policy/event-api-function-boundary-${var.stage}"
}

resource "aws_iam_role" "authorizer" {
  name               = "event-api-${var.stage}-authorizer"
  description        = "Permissions of the Event API's authorizer."
  assume_role_policy = data.aws_iam_policy_document.lambda_trust.json

  # The same rule applies to this role.
  permissions_boundary = "${local.iam}:policy/event-api-authorizer-boundary-${var.stage}"
}

locals {
  iam = "arn:${data.aws_partition.this.partition}:iam::${data.aws_caller_identity.this.account_id}"
}

data "aws_iam_policy_document" "lambda_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

resource "aws_iam_role_policy" "api_handler" {
  name   = "api_handler"
  role   = aws_iam_role.api_handler.name
  policy = data.aws_iam_policy_document.api_handler.json
}

data "aws_iam_policy_document" "api_handler" {
  # checkov:skip=CKV_AWS_111:X-Ray's two actions support no resource; all others name their resource.
  # checkov:skip=CKV_AWS_356:X-Ray's two actions support no resource; all others name their resource.
  statement {
    sid       = "Events"
    actions   = ["dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:PutItem"]
    resources = [aws_dynamodb_table.events.arn]
  }

  statement {
    sid       = "Lists"
    actions   = ["dynamodb:Query"]
    resources = [for index in keys(local.indexes) : "${aws_dynamodb_table.events.arn}/index/${index}"]
  }

  statement {
    sid       = "Log"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.api_handler.arn}:*"]
  }

  statement {
    sid       = "Trace"
    actions   = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]
    resources = ["*"]
  }

  dynamic "statement" {
    for_each = aws_kms_key.this

    content {
      sid       = "Environment"
      actions   = ["kms:Decrypt"]
      resources = [statement.value.arn]

      condition {
        test     = "StringEquals"
        variable = "kms:EncryptionContext:aws:lambda:FunctionArn"
        values   = [local.function_arns[0]]
      }
    }
  }
}

resource "aws_iam_role_policy" "authorizer" {
  name   = "authorizer"
  role   = aws_iam_role.authorizer.name
  policy = data.aws_iam_policy_document.authorizer.json
}

data "aws_iam_policy_document" "authorizer" {
  # checkov:skip=CKV_AWS_111:X-Ray's two actions support no resource; all others name their resource.
  # checkov:skip=CKV_AWS_356:X-Ray's two actions support no resource; all others name their resource.
  statement {
    sid       = "Tokens"
    actions   = ["dynamodb:GetItem"]
    resources = [aws_dynamodb_table.tokens.arn]
  }

  statement {
    sid       = "Log"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.authorizer.arn}:*"]
  }

  statement {
    sid       = "Trace"
    actions   = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]
    resources = ["*"]
  }

  dynamic "statement" {
    for_each = aws_kms_key.this

    content {
      sid       = "Environment"
      actions   = ["kms:Decrypt"]
      resources = [statement.value.arn]

      condition {
        test     = "StringEquals"
        variable = "kms:EncryptionContext:aws:lambda:FunctionArn"
        values   = [local.function_arns[1]]
      }
    }
  }
}
