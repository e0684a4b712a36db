mock_provider "aws" {
  source = "./tests/mocks"
}

run "tables_on_demand" {
  variables {
    table_capacity = null
    request_caps   = { events = { read = 650, write = 2570 }, tokens = { read = 3, write = 4 } }
  }

  # The key of the events is tenant and id. The table can be restored, and DynamoDB deletes expired events.

  assert {
    condition     = aws_dynamodb_table.events["events"].hash_key == "pk" && aws_dynamodb_table.events["events"].range_key == null
    error_message = "The table's key is pk, without a sort key."
  }

  assert {
    condition     = aws_dynamodb_table.events["events"].name == "event-api-${var.stage}-events"
    error_message = "The deploy role has permissions only on a table with this name."
  }

  assert {
    condition = (one(aws_dynamodb_table.events["events"].ttl).attribute_name == "expires_at"
    && one(aws_dynamodb_table.events["events"].ttl).enabled)
    error_message = "DynamoDB deletes an event after its expires_at."
  }

  assert {
    condition     = one(aws_dynamodb_table.events["events"].point_in_time_recovery).enabled
    error_message = "The table can be restored to any second of the last 35 days."
  }

  # The indexes copy the type of an event where a filter needs it, and no payload.

  assert {
    condition = jsonencode({
      for index in aws_dynamodb_table.events["events"].global_secondary_index : index.name => [
        index.hash_key, index.range_key, index.projection_type, sort(coalesce(index.non_key_attributes, [])),
      ]
      }) == jsonencode({
      by_subject = ["by_subject", "position", "INCLUDE", ["type"]]
      by_time    = ["by_time", "position", "INCLUDE", ["type"]]
      by_type    = ["by_type", "position", "KEYS_ONLY", []]
    })
    error_message = "Events are listed by time, by type and by subject."
  }

  assert {
    condition = jsonencode(distinct([
      for index in aws_dynamodb_table.events["events"].global_secondary_index : [
        one(index.on_demand_throughput).max_read_request_units, one(index.on_demand_throughput).max_write_request_units,
      ]
    ])) == jsonencode([[650, 2570]])
    error_message = "Each index has the limit of its table."
  }

  # The key of the tokens is the key id. The table can be restored, and DynamoDB deletes no token.

  assert {
    condition     = aws_dynamodb_table.tokens.hash_key == "key_id" && aws_dynamodb_table.tokens.range_key == null
    error_message = "The table's key is key_id, without a sort key."
  }

  assert {
    condition     = aws_dynamodb_table.tokens.name == "event-api-${var.stage}-tokens"
    error_message = "The deploy role has permissions only on a table with this name."
  }

  assert {
    condition = (
      one(aws_dynamodb_table.tokens.point_in_time_recovery).enabled
      && !anytrue([for ttl in aws_dynamodb_table.tokens.ttl : coalesce(ttl.enabled, false)])
    )
    error_message = "The table can be restored, and DynamoDB deletes no token."
  }

  assert {
    condition = [
      aws_lambda_function.api_handler.environment[0].variables.TABLE_NAME,
      aws_lambda_function.authorizer.environment[0].variables.TOKEN_TABLE_NAME,
    ] == [aws_dynamodb_table.events["events"].name, aws_dynamodb_table.tokens.name]
    error_message = "Each function gets the name of its table in its environment."
  }

  # An on-demand table has a limit.

  assert {
    condition = [
      for table in [aws_dynamodb_table.events["events"], aws_dynamodb_table.tokens] : [
        one(table.on_demand_throughput).max_read_request_units,
        one(table.on_demand_throughput).max_write_request_units,
      ]
    ] == [[650, 2570], [3, 4]]
    error_message = "Each table has its own limit from request_caps."
  }

  # Without table_capacity, AWS bills each request.

  assert {
    condition     = aws_dynamodb_table.events["events"].billing_mode == "PAY_PER_REQUEST"
    error_message = "Without table_capacity, the table is on demand."
  }

  assert {
    condition     = length(aws_appautoscaling_target.table) + length(aws_appautoscaling_policy.table) == 0
    error_message = "An on-demand table has no autoscaling."
  }
}

run "tables_with_capacity_are_provisioned_and_scaled_by_use" {
  variables {
    table_capacity = { read = { min = 2, max = 20 }, write = { min = 3, max = 30 } }
  }

  assert {
    condition     = aws_dynamodb_table.events["events"].billing_mode == "PROVISIONED"
    error_message = "With table_capacity, the table is provisioned."
  }

  assert {
    condition = (
      length(aws_dynamodb_table.events["events"].on_demand_throughput) == 0
      && aws_dynamodb_table.tokens.billing_mode == "PAY_PER_REQUEST"
      && length(aws_dynamodb_table.tokens.on_demand_throughput) == 1
    )
    error_message = "The provisioned table has no on-demand limit. The table of tokens stays on demand, with its limit."
  }

  assert {
    condition = jsonencode(distinct([
      for index in aws_dynamodb_table.events["events"].global_secondary_index : [
        index.read_capacity, index.write_capacity, length(index.on_demand_throughput),
      ]
    ])) == jsonencode([[20, 30, 0]])
    error_message = "Each index has the most that autoscaling gives its table."
  }

  assert {
    condition = { for kind, target in aws_appautoscaling_target.table : kind => [
      target.scalable_dimension, target.min_capacity, target.max_capacity, target.resource_id
      ] } == {
      read  = ["dynamodb:table:ReadCapacityUnits", 2, 20, "table/event-api-${var.stage}-events"]
      write = ["dynamodb:table:WriteCapacityUnits", 3, 30, "table/event-api-${var.stage}-events"]
    }
    error_message = "Autoscaling keeps reads and writes between the stage's min and max."
  }

  assert {
    condition = { for kind, policy in aws_appautoscaling_policy.table : kind => one(one(
      policy.target_tracking_scaling_policy_configuration).predefined_metric_specification).predefined_metric_type
    } == { read = "DynamoDBReadCapacityUtilization", write = "DynamoDBWriteCapacityUtilization" }
    error_message = "Autoscaling of reads follows reads; autoscaling of writes follows writes."
  }
}
