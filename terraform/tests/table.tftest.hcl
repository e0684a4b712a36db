mock_provider "aws" {
  source = "./tests/mocks"
}

run "the_table_is_keyed_by_id_restorable_and_forgets_what_expired" {
  assert {
    condition     = aws_dynamodb_table.events.hash_key == "id" && aws_dynamodb_table.events.range_key == null
    error_message = "The key is id alone."
  }

  assert {
    condition     = aws_dynamodb_table.events.name == "event-api-${var.stage}-events"
    error_message = "The deploy role knows the table by this name."
  }

  assert {
    condition = (one(aws_dynamodb_table.events.ttl).attribute_name == "expires_at"
    && one(aws_dynamodb_table.events.ttl).enabled)
    error_message = "DynamoDB removes events by expires_at."
  }

  assert {
    condition     = one(aws_dynamodb_table.events.point_in_time_recovery).enabled
    error_message = "The table is restorable to any second of the last 35 days."
  }
}

run "a_request_pays_where_no_capacity_is_said" {
  variables {
    table_capacity = null
  }

  assert {
    condition     = aws_dynamodb_table.events.billing_mode == "PAY_PER_REQUEST"
    error_message = "Without capacity the table is on demand."
  }

  assert {
    condition     = length(aws_appautoscaling_target.table) + length(aws_appautoscaling_policy.table) == 0
    error_message = "What is on demand is not scaled."
  }
}

run "said_capacity_is_provisioned_and_scaled_by_use" {
  variables {
    table_capacity = { read = { min = 2, max = 20 }, write = { min = 3, max = 30 } }
  }

  assert {
    condition     = aws_dynamodb_table.events.billing_mode == "PROVISIONED"
    error_message = "With capacity the table is provisioned."
  }

  assert {
    condition = { for kind, target in aws_appautoscaling_target.table : kind => [
      target.scalable_dimension, target.min_capacity, target.max_capacity, target.resource_id
      ] } == {
      read  = ["dynamodb:table:ReadCapacityUnits", 2, 20, "table/event-api-${var.stage}-events"]
      write = ["dynamodb:table:WriteCapacityUnits", 3, 30, "table/event-api-${var.stage}-events"]
    }
    error_message = "Reads and writes are scaled between what the stage says."
  }

  assert {
    condition = { for kind, policy in aws_appautoscaling_policy.table : kind => one(one(
      policy.target_tracking_scaling_policy_configuration).predefined_metric_specification).predefined_metric_type
    } == { read = "DynamoDBReadCapacityUtilization", write = "DynamoDBWriteCapacityUtilization" }
    error_message = "Each scaling follows its own use."
  }
}
