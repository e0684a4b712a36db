# The roles of the stages' functions. A person creates them. The deploy role can only pass them to Lambda: it cannot
# change who may assume such a role, or its permissions.
locals {
  # Stage and function => what the function does with its tables.
  function_roles = merge([for stage, names in local.names : {
    "${stage}/api_handler" = {
      stage       = stage
      function    = "api_handler"
      description = "Permissions of the Event API's function, ${stage}."
      tables = [
        {
          sid       = "Events"
          actions   = ["dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:PutItem"]
          resources = names.events
        },
        {
          sid     = "Lists"
          actions = ["dynamodb:Query"]
          resources = [
            for pair in setproduct(names.events, ["by_subject", "by_time", "by_type"]) : "${pair[0]}/index/${pair[1]}"
          ]
        },
      ]
    }
    "${stage}/authorizer" = {
      stage       = stage
      function    = "authorizer"
      description = "Permissions of the Event API's authorizer, ${stage}."
      tables      = [{ sid = "Tokens", actions = ["dynamodb:GetItem"], resources = [names.tokens] }]
    }
  }]...)
}

resource "aws_iam_role" "function" {
  for_each = local.function_roles

  name               = "event-api-${each.value.stage}-${each.value.function}"
  description        = each.value.description
  assume_role_policy = data.aws_iam_policy_document.service_trust["lambda"].json
}

resource "aws_iam_role_policy" "function" {
  for_each = local.function_roles

  name   = each.value.function
  role   = aws_iam_role.function[each.key].name
  policy = data.aws_iam_policy_document.function[each.key].json
}

data "aws_iam_policy_document" "function" {
  # checkov:skip=CKV_AWS_111:X-Ray's two actions support no resource; all others name their resource.
  # checkov:skip=CKV_AWS_356:X-Ray's two actions support no resource; all others name their resource.
  for_each = local.function_roles

  # Lambda adds the function's ARN to calls from inside the function. So another function with the same role cannot use
  # the tables. https://docs.aws.amazon.com/lambda/latest/dg/permissions-source-function-arn.html
  dynamic "statement" {
    for_each = each.value.tables

    content {
      sid       = statement.value.sid
      actions   = statement.value.actions
      resources = statement.value.resources

      condition {
        test     = "ArnEquals"
        variable = "lambda:SourceFunctionArn"
        values   = local.names[each.value.stage].function_arns[each.value.function]
      }
    }
  }

  statement {
    sid       = "Log"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${local.names[each.value.stage].log_groups[each.value.function]}:*"]
  }

  statement {
    sid       = "Trace"
    actions   = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]
    resources = ["*"]
  }

  # If the stage has its own key, Lambda decrypts the function's environment with it. Lambda does not add the function's
  # ARN to that call.
  statement {
    sid       = "Environment"
    actions   = ["kms:Decrypt"]
    resources = [local.names[each.value.stage].keys]

    dynamic "condition" {
      for_each = merge(local.names[each.value.stage].tags, {
        "kms:EncryptionContext:aws:lambda:FunctionArn" = local.names[each.value.stage].functions[each.value.function]
      })

      content {
        test     = "StringEquals"
        variable = condition.key
        values   = [condition.value]
      }
    }
  }
}

# Who may assume a role that an AWS service uses.
data "aws_iam_policy_document" "service_trust" {
  for_each = toset(["apigateway", "backup", "codedeploy", "lambda"])

  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["${each.key}.amazonaws.com"]
    }
  }
}
