# The roles of a stage's two functions. A person creates them. The deploy role can only pass them to Lambda: it cannot
# change who may assume such a role, or its permissions.
resource "aws_iam_role" "api_handler" {
  for_each = local.stages

  name               = "event-api-${each.key}-api_handler"
  description        = "Permissions of the Event API's function, ${each.key}."
  assume_role_policy = data.aws_iam_policy_document.lambda_trust.json
}

resource "aws_iam_role" "authorizer" {
  for_each = local.stages

  name               = "event-api-${each.key}-authorizer"
  description        = "Permissions of the Event API's authorizer, ${each.key}."
  assume_role_policy = data.aws_iam_policy_document.lambda_trust.json
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
  for_each = local.stages

  name   = "api_handler"
  role   = aws_iam_role.api_handler[each.key].name
  policy = data.aws_iam_policy_document.api_handler[each.key].json
}

resource "aws_iam_role_policy" "authorizer" {
  for_each = local.stages

  name   = "authorizer"
  role   = aws_iam_role.authorizer[each.key].name
  policy = data.aws_iam_policy_document.authorizer[each.key].json
}

# Lambda adds the function's ARN to calls from inside the function. So another function with the same role cannot use the
# tables. https://docs.aws.amazon.com/lambda/latest/dg/permissions-source-function-arn.html
data "aws_iam_policy_document" "api_handler" {
  # checkov:skip=CKV_AWS_111:X-Ray's two actions support no resource; all others name their resource.
  # checkov:skip=CKV_AWS_356:X-Ray's two actions support no resource; all others name their resource.
  for_each = local.names

  statement {
    sid       = "Events"
    actions   = ["dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:PutItem"]
    resources = [each.value.table]

    condition {
      test     = "ArnEquals"
      variable = "lambda:SourceFunctionArn"
      values   = each.value.function_arns.api_handler
    }
  }

  statement {
    sid       = "Lists"
    actions   = ["dynamodb:Query"]
    resources = [for index in ["by_subject", "by_time", "by_type"] : "${each.value.table}/index/${index}"]

    condition {
      test     = "ArnEquals"
      variable = "lambda:SourceFunctionArn"
      values   = each.value.function_arns.api_handler
    }
  }

  statement {
    sid       = "Log"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${each.value.log_groups.api_handler}:*"]
  }

  statement {
    sid       = "Trace"
    actions   = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]
    resources = ["*"]
  }

  # If the stage has its own key, Lambda decrypts this function's environment with it. Lambda does not add the function's
  # ARN to that call.
  statement {
    sid       = "Environment"
    actions   = ["kms:Decrypt"]
    resources = [each.value.keys]

    dynamic "condition" {
      for_each = merge(each.value.tags, {
        "kms:EncryptionContext:aws:lambda:FunctionArn" = each.value.functions.api_handler
      })

      content {
        test     = "StringEquals"
        variable = condition.key
        values   = [condition.value]
      }
    }
  }
}

data "aws_iam_policy_document" "authorizer" {
  # checkov:skip=CKV_AWS_111:X-Ray's two actions support no resource; all others name their resource.
  # checkov:skip=CKV_AWS_356:X-Ray's two actions support no resource; all others name their resource.
  for_each = local.names

  statement {
    sid       = "Tokens"
    actions   = ["dynamodb:GetItem"]
    resources = [each.value.tokens]

    condition {
      test     = "ArnEquals"
      variable = "lambda:SourceFunctionArn"
      values   = each.value.function_arns.authorizer
    }
  }

  statement {
    sid       = "Log"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${each.value.log_groups.authorizer}:*"]
  }

  statement {
    sid       = "Trace"
    actions   = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]
    resources = ["*"]
  }

  # As above, for the authorizer's environment.
  statement {
    sid       = "Environment"
    actions   = ["kms:Decrypt"]
    resources = [each.value.keys]

    dynamic "condition" {
      for_each = merge(each.value.tags, {
        "kms:EncryptionContext:aws:lambda:FunctionArn" = each.value.functions.authorizer
      })

      content {
        test     = "StringEquals"
        variable = condition.key
        values   = [condition.value]
      }
    }
  }
}
