mock_provider "aws" {
  source = "./tests/mocks"
}

override_resource {
  target = aws_dynamodb_table.events
  values = { arn = "arn:aws:dynamodb:ap-southeast-1:123456789012:table/the-one" }
}

run "without_protection_the_pipeline_may_change_the_tables" {
  variables {
    protected = false
  }

  assert {
    condition     = length(aws_dynamodb_resource_policy.events) == 0
    error_message = "The table has no policy: the deploy role may not set one."
  }

  assert {
    condition = (
      !aws_dynamodb_table.events["events"].deletion_protection_enabled && !aws_dynamodb_table.tokens.deletion_protection_enabled
    )
    error_message = "The tables can be deleted."
  }
}

run "with_protection_events_are_write_once" {
  variables {
    protected = true
  }

  assert {
    condition = (
      aws_dynamodb_resource_policy.events["events"].resource_arn == aws_dynamodb_table.events["events"].arn
      && aws_dynamodb_resource_policy.events["events"].policy == data.aws_iam_policy_document.events["events"].json
    )
    error_message = "The policy is the one of the table of events."
  }

  assert {
    condition = jsonencode([for s in data.aws_iam_policy_document.events["events"].statement : [
      s.effect, sort(s.actions), sort(s.resources),
      [for c in s.condition : [c.test, c.variable, c.values]],
      ]]) == jsonencode([
      [
        "Deny",
        [
          "dynamodb:BatchWriteItem",
          "dynamodb:DeleteItem",
          "dynamodb:PartiQLDelete",
          "dynamodb:PartiQLInsert",
          "dynamodb:PartiQLUpdate",
          "dynamodb:UpdateItem",
        ],
        ["arn:aws:dynamodb:ap-southeast-1:123456789012:table/event-api-dev-events"],
        [["BoolIfExists", "aws:PrincipalIsAWSService", ["false"]]],
      ],
      [
        "Deny",
        ["dynamodb:PutItem"],
        ["arn:aws:dynamodb:ap-southeast-1:123456789012:table/event-api-dev-events"],
        [
          ["ArnNotEquals", "aws:PrincipalArn", ["arn:aws:iam::123456789012:role/event-api-dev-api_handler"]],
          ["BoolIfExists", "aws:PrincipalIsAWSService", ["false"]],
        ],
      ],
    ])
    error_message = "Nobody changes or deletes an event, and only the function stores one. Nothing denies removing the policy."
  }

  assert {
    condition = alltrue([
      for s in data.aws_iam_policy_document.events["events"].statement : jsonencode(s.principals) == jsonencode([
        { identifiers = ["*"], type = "*" },
      ])
    ])
    error_message = "The policy is for every caller."
  }

  assert {
    condition = (
      aws_dynamodb_table.events["events"].deletion_protection_enabled && aws_dynamodb_table.tokens.deletion_protection_enabled
    )
    error_message = "DynamoDB refuses to delete the tables."
  }

  assert {
    condition = {
      for name, function in { api_handler = aws_lambda_function.api_handler, authorizer = aws_lambda_function.authorizer } :
      name => function.role
      } == {
      api_handler = "arn:aws:iam::123456789012:role/event-api-${var.stage}-api_handler"
      authorizer  = "arn:aws:iam::123456789012:role/event-api-${var.stage}-authorizer"
    }
    error_message = "Each function has its role from oidc/."
  }
}
