mock_provider "aws" {
  source = "./tests/mocks"
}

override_resource {
  target = aws_dynamodb_table.events
  values = { arn = "arn:aws:dynamodb:ap-southeast-1:123456789012:table/the-one" }
}

override_resource {
  target = aws_cloudwatch_log_group.api_handler
  values = { arn = "arn:aws:logs:ap-southeast-1:123456789012:log-group:its-own" }
}

override_resource {
  target = aws_dynamodb_table.tokens
  values = { arn = "arn:aws:dynamodb:ap-southeast-1:123456789012:table/the-tokens" }
}

override_resource {
  target = aws_cloudwatch_log_group.authorizer
  values = { arn = "arn:aws:logs:ap-southeast-1:123456789012:log-group:the-authorizers" }
}

run "each_function_has_its_permissions_and_no_other_within_its_boundary" {
  variables {
    customer_key = false
  }

  assert {
    condition = jsonencode([for s in data.aws_iam_policy_document.api_handler.statement : [
      coalesce(s.effect, "Allow"), sort(s.actions), sort(s.resources),
      ]]) == jsonencode([
      [
        "Allow",
        ["dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:PutItem"],
        ["arn:aws:dynamodb:ap-southeast-1:123456789012:table/the-one"],
      ],
      [
        "Allow",
        ["dynamodb:Query"],
        [
          "arn:aws:dynamodb:ap-southeast-1:123456789012:table/the-one/index/by_subject",
          "arn:aws:dynamodb:ap-southeast-1:123456789012:table/the-one/index/by_time",
          "arn:aws:dynamodb:ap-southeast-1:123456789012:table/the-one/index/by_type",
        ],
      ],
      [
        "Allow",
        ["logs:CreateLogStream", "logs:PutLogEvents"],
        ["arn:aws:logs:ap-southeast-1:123456789012:log-group:its-own:*"],
      ],
      ["Allow", ["xray:PutTelemetryRecords", "xray:PutTraceSegments"], ["*"]],
    ])
    error_message = "The function has these permissions and no others."
  }

  assert {
    condition = jsonencode([for s in data.aws_iam_policy_document.lambda_trust.statement : [
      coalesce(s.effect, "Allow"), sort(s.actions), [for p in s.principals : [p.type, sort(p.identifiers)]],
    ]]) == jsonencode([["Allow", ["sts:AssumeRole"], [["Service", ["lambda.amazonaws.com"]]]]])
    error_message = "Only Lambda can assume the functions' roles."
  }

  assert {
    condition = jsonencode([for s in data.aws_iam_policy_document.authorizer.statement : [
      coalesce(s.effect, "Allow"), sort(s.actions), sort(s.resources),
      ]]) == jsonencode([
      ["Allow", ["dynamodb:GetItem"], ["arn:aws:dynamodb:ap-southeast-1:123456789012:table/the-tokens"]],
      [
        "Allow",
        ["logs:CreateLogStream", "logs:PutLogEvents"],
        ["arn:aws:logs:ap-southeast-1:123456789012:log-group:the-authorizers:*"],
      ],
      ["Allow", ["xray:PutTelemetryRecords", "xray:PutTraceSegments"], ["*"]],
    ])
    error_message = "The authorizer has these permissions and no others."
  }

  assert {
    condition = [
      aws_iam_role.api_handler.permissions_boundary,
      aws_iam_role.authorizer.permissions_boundary,
      ] == [
      "arn:aws:iam::123456789012:policy/event-api-function-boundary-${var.stage}",
      "arn:aws:iam::123456789012:policy/event-api-authorizer-boundary-${var.stage}",
    ]
    error_message = "Each role has the boundary that oidc/ creates for it. Without it, the deploy role cannot create the role."
  }

  assert {
    condition = [aws_iam_role.api_handler.name, aws_iam_role.authorizer.name] == [
      "event-api-${var.stage}-api_handler", "event-api-${var.stage}-authorizer",
    ]
    error_message = "The deploy role has permissions only on roles with these names."
  }
}

run "with_a_key_each_function_may_decrypt_its_own_environment_too" {
  variables {
    customer_key = true
  }

  assert {
    condition = jsonencode([
      for document in [data.aws_iam_policy_document.api_handler, data.aws_iam_policy_document.authorizer] : [
        for s in document.statement : [
          s.actions, s.resources, [for c in s.condition : [c.test, c.variable, c.values]],
        ] if length(s.condition) > 0
      ]
      ]) == jsonencode([
      for name in ["event-api-${var.stage}", "event-api-${var.stage}-authorizer"] : [[
        ["kms:Decrypt"],
        ["arn:aws:kms:ap-southeast-1:123456789012:key/made"],
        [[
          "StringEquals",
          "kms:EncryptionContext:aws:lambda:FunctionArn",
          ["arn:aws:lambda:ap-southeast-1:123456789012:function:${name}"],
        ]],
      ]]
    ])
    error_message = "With a key, each function may also decrypt its own environment, and nothing else."
  }
}
