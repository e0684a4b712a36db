mock_provider "aws" {
  source = "./tests/mocks"
}

# Terraform imports the restored table. A mock provider cannot, so it gets this table.
override_resource {
  target = aws_dynamodb_table.events
  values = { arn = "arn:aws:dynamodb:ap-southeast-1:123456789012:table/the-one" }
}

variables {
  protected      = true
  events_tables  = ["events-restored", "events"]
  table_capacity = { read = { min = 2, max = 20 }, write = { min = 3, max = 30 } }
}

run "the_api_uses_the_restored_table" {
  assert {
    condition = (
      aws_lambda_function.api_handler.environment[0].variables.TABLE_NAME == "event-api-${var.stage}-events-restored"
      && output.table_name == "event-api-${var.stage}-events-restored"
    )
    error_message = "The API uses the first table of the setting."
  }

  assert {
    condition = alltrue([
      for target in aws_appautoscaling_target.table :
      target.resource_id == "table/event-api-${var.stage}-events-restored"
    ])
    error_message = "Autoscaling follows the table that the API uses."
  }
}

run "a_restored_table_has_what_aws_does_not_restore" {
  assert {
    condition = alltrue([for table in values(aws_dynamodb_table.events) : (
      one(table.ttl).enabled && one(table.point_in_time_recovery).enabled && table.deletion_protection_enabled
    )])
    error_message = "Expired events are deleted, the table can be restored, and nobody deletes it by mistake."
  }

  assert {
    condition = jsonencode({ for name, document in data.aws_iam_policy_document.events : name => distinct(flatten(
      [for s in document.statement : s.resources]
      )) }) == jsonencode({ for name in ["events", "events-restored"] :
      name => ["arn:aws:dynamodb:ap-southeast-1:123456789012:table/event-api-dev-${name}"]
    })
    error_message = "Each table has a policy with its own name."
  }

  assert {
    condition     = toset(keys(aws_dynamodb_resource_policy.events)) == toset(["events", "events-restored"])
    error_message = "Both tables are write-once."
  }
}

run "only_a_person_lets_terraform_delete_a_restored_table" {
  variables {
    protected = false
  }

  assert {
    condition = (
      aws_dynamodb_table.events["events-restored"].deletion_protection_enabled
      && !aws_dynamodb_table.events["events"].deletion_protection_enabled
    )
    error_message = "Without protection of the stage, a restored table still has deletion protection."
  }
}
