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

run "the_function_may_read_and_write_its_table_log_and_trace_and_nothing_else" {
  assert {
    condition = jsonencode([for s in data.aws_iam_policy_document.api_handler.statement : [
      coalesce(s.effect, "Allow"), sort(s.actions), sort(s.resources),
      ]]) == jsonencode([
      [
        "Allow",
        ["dynamodb:GetItem", "dynamodb:PutItem"],
        ["arn:aws:dynamodb:ap-southeast-1:123456789012:table/the-one"],
      ],
      [
        "Allow",
        ["logs:CreateLogStream", "logs:PutLogEvents"],
        ["arn:aws:logs:ap-southeast-1:123456789012:log-group:its-own:*"],
      ],
      ["Allow", ["xray:PutTelemetryRecords", "xray:PutTraceSegments"], ["*"]],
    ])
    error_message = "These are the function's permissions, action by action and resource by resource."
  }

  assert {
    condition = jsonencode([for s in data.aws_iam_policy_document.lambda_trust.statement : [
      coalesce(s.effect, "Allow"), sort(s.actions), [for p in s.principals : [p.type, sort(p.identifiers)]],
    ]]) == jsonencode([["Allow", ["sts:AssumeRole"], [["Service", ["lambda.amazonaws.com"]]]]])
    error_message = "Only Lambda takes the function's role."
  }
}

run "the_role_is_within_the_boundary_of_its_stage" {
  command = plan

  assert {
    condition = aws_iam_role.api_handler.permissions_boundary == join(
      "", ["arn:aws:iam::123456789012:policy/event-api-function-boundary-", var.stage]
    )
    error_message = "The deploy role can make this role only with the boundary that oidc/ made."
  }

  assert {
    condition     = aws_iam_role.api_handler.name == "event-api-${var.stage}-api_handler"
    error_message = "The deploy role knows the function's role by this name."
  }
}
