mock_provider "aws" {
  source = "./tests/mocks"
}

run "without_a_key_of_its_own_a_stage_is_encrypted_with_those_of_aws" {
  variables {
    customer_key = false
    firewall     = null # waf.tftest.hcl tests the firewall's log without a key
  }

  assert {
    condition     = length(aws_kms_key.this) + length(aws_kms_alias.this) == 0
    error_message = "Terraform creates no key."
  }

  assert {
    condition = alltrue([
      for table in [aws_dynamodb_table.events["events"], aws_dynamodb_table.tokens] : length(table.server_side_encryption) == 0
    ])
    error_message = "DynamoDB's own key encrypts the tables."
  }

  assert {
    condition = alltrue([
      for key in [
        aws_cloudwatch_log_group.access.kms_key_id,
        aws_cloudwatch_log_group.api_handler.kms_key_id,
        aws_cloudwatch_log_group.authorizer.kms_key_id,
        aws_lambda_function.api_handler.kms_key_arn,
        aws_lambda_function.authorizer.kms_key_arn,
      ] : key == null
    ])
    error_message = "AWS's own keys encrypt logs and environments."
  }
}

run "with_a_key_of_its_own_all_that_a_stage_keeps_is_encrypted_with_it" {
  variables {
    customer_key = true
    firewall     = null # the next run tests the firewall's log
  }

  assert {
    condition = (
      aws_kms_key.this[0].enable_key_rotation
      && aws_kms_key.this[0].deletion_window_in_days == 30
      && !coalesce(aws_kms_key.this[0].bypass_policy_lockout_safety_check, false)
    )
    error_message = "The key rotates. Its deletion can be cancelled for 30 days."
  }

  assert {
    condition = (
      aws_kms_alias.this[0].name == "alias/event-api-${var.stage}"
      && aws_kms_alias.this[0].target_key_id == aws_kms_key.this[0].key_id
    )
    error_message = "The key has the alias that the documentation names."
  }

  assert {
    condition = alltrue([
      for key in [
        one(aws_dynamodb_table.events["events"].server_side_encryption).kms_key_arn,
        one(aws_dynamodb_table.tokens.server_side_encryption).kms_key_arn,
        aws_cloudwatch_log_group.access.kms_key_id,
        aws_cloudwatch_log_group.api_handler.kms_key_id,
        aws_cloudwatch_log_group.authorizer.kms_key_id,
        aws_lambda_function.api_handler.kms_key_arn,
        aws_lambda_function.authorizer.kms_key_arn,
      ] : key == aws_kms_key.this[0].arn
    ])
    error_message = "Both tables, all logs and both environments have the stage's key."
  }

  assert {
    condition = alltrue([
      for table in [aws_dynamodb_table.events["events"], aws_dynamodb_table.tokens] : one(table.server_side_encryption).enabled
    ])
    error_message = "The tables' encryption is on."
  }

  # The key's policy, statement by statement. tests/test_terraform.py evaluates it as KMS would.

  assert {
    condition = jsonencode([for s in data.aws_iam_policy_document.key.statement : s.sid]) == jsonencode(
      ["Administration", "Tables", "TablesLook", "Grants", "Logs", "Alarms", "Environment"]
    )
    error_message = "The policy has these statements and no others."
  }

  assert {
    condition = alltrue([
      for s in data.aws_iam_policy_document.key.statement :
      coalesce(s.effect, "Allow") == "Allow" && s.resources == toset(["*"])
    ])
    error_message = "Each statement allows, and its resource is the key."
  }

  assert {
    condition = jsonencode({
      for s in data.aws_iam_policy_document.key.statement : s.sid => [for p in s.principals : [p.type, p.identifiers]]
      }) == jsonencode({
      Administration = [["AWS", ["arn:aws:iam::123456789012:root"]]]
      Tables         = [["AWS", ["*"]]]
      TablesLook     = [["AWS", ["*"]]]
      Grants         = [["AWS", ["arn:aws:iam::123456789012:root"]]]
      Logs           = [["Service", ["logs.ap-southeast-1.amazonaws.com"]]]
      Alarms         = [["Service", ["cloudwatch.amazonaws.com"]]]
      Environment    = [["AWS", ["arn:aws:iam::123456789012:root"]]]
    })
    error_message = "Each statement has these principals and no others."
  }

  assert {
    condition = jsonencode({
      for s in data.aws_iam_policy_document.key.statement : s.sid => sort(s.actions) if s.sid != "Administration"
      }) == jsonencode({
      Tables      = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
      TablesLook  = ["kms:DescribeKey"]
      Grants      = ["kms:CreateGrant"]
      Logs        = ["kms:Decrypt*", "kms:Describe*", "kms:Encrypt*", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
      Alarms      = ["kms:Decrypt", "kms:GenerateDataKey*"]
      Environment = ["kms:Decrypt", "kms:Encrypt"]
    })
    error_message = "Each statement has these actions and no others."
  }

  assert {
    condition = jsonencode({
      for s in data.aws_iam_policy_document.key.statement : s.sid => {
        for c in s.condition : c.variable => [c.test, sort(c.values)]
      }
      }) == jsonencode({
      Administration = {}
      Tables = {
        "kms:CallerAccount" = ["StringEquals", ["123456789012"]]
        "kms:EncryptionContext:aws:dynamodb:tableName" = [
          "StringEquals", [for kind in ["events", "events-restored", "tokens", "tokens-restored"] :
            "event-api-${var.stage}-${kind}"
          ],
        ]
        "kms:ViaService" = ["StringEquals", ["dynamodb.ap-southeast-1.amazonaws.com"]]
      }
      TablesLook = {
        "kms:CallerAccount" = ["StringEquals", ["123456789012"]]
        "kms:ViaService"    = ["StringEquals", ["dynamodb.ap-southeast-1.amazonaws.com"]]
      }
      Grants = {
        "kms:GrantIsForAWSResource" = ["Bool", ["true"]]
        "kms:ViaService" = [
          "StringEquals", ["dynamodb.ap-southeast-1.amazonaws.com", "lambda.ap-southeast-1.amazonaws.com"],
        ]
      }
      Logs = {
        "kms:EncryptionContext:aws:logs:arn" = ["ArnEquals", [
          for name in [
            "/aws/apigateway/event-api-${var.stage}",
            "/aws/lambda/event-api-${var.stage}",
            "/aws/lambda/event-api-${var.stage}-authorizer",
            "aws-waf-logs-event-api-${var.stage}",
          ] : "arn:aws:logs:ap-southeast-1:123456789012:log-group:${name}"
        ]]
      }
      Alarms = {
        "kms:EncryptionContext:aws:sns:topicArn" = [
          "StringEquals", ["arn:aws:sns:ap-southeast-1:123456789012:event-api-${var.stage}-alarms"],
        ]
      }
      Environment = {
        "kms:EncryptionContext:aws:lambda:FunctionArn" = ["StringEquals", [
          for name in ["event-api-${var.stage}", "event-api-${var.stage}-authorizer"] :
          "arn:aws:lambda:ap-southeast-1:123456789012:function:${name}"
        ]]
      }
    })
    error_message = "Each statement is limited to its service and to the stage's own resources."
  }

  assert {
    condition = alltrue([
      for s in data.aws_iam_policy_document.key.statement : alltrue([
        for action in s.actions : !strcontains(action, "*") && !can(regex("crypt|DataKey|CreateGrant|:Sign|Mac$", action))
      ]) if s.sid == "Administration"
    ])
    error_message = "The permission to administer the key does not permit its use."
  }
}

run "the_firewalls_log_is_encrypted_with_it_too" {
  plan_options {
    target = [aws_cloudwatch_log_group.firewall] # a whole firewall takes seconds
  }

  variables {
    customer_key = true
    firewall     = { requests_per_address = 1234 }
  }

  assert {
    condition     = aws_cloudwatch_log_group.firewall[0].kms_key_id == aws_kms_key.this[0].arn
    error_message = "The firewall's log has the stage's key."
  }
}
