# Encrypted at rest with the key that DynamoDB owns: always on, free, and no permission to grant.
resource "aws_dynamodb_table" "events" {
  # checkov:skip=CKV_AWS_119:A customer's key costs a dollar a month a stage, and every caller a permission to use it.
  name                        = "event-api-${var.stage}-events"
  billing_mode                = var.table_capacity == null ? "PAY_PER_REQUEST" : "PROVISIONED"
  read_capacity               = try(var.table_capacity.read.min, null)
  write_capacity              = try(var.table_capacity.write.min, null)
  hash_key                    = "id"
  deletion_protection_enabled = var.deletion_protection

  attribute {
    name = "id"
    type = "S"
  }

  ttl {
    attribute_name = "expires_at"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = true
  }

  lifecycle {
    # Autoscaling moves them. The provider starts at 1 when the mode changes, and autoscaling lifts that to its minimum.
    ignore_changes = [read_capacity, write_capacity]
  }
}

resource "aws_appautoscaling_target" "table" {
  for_each = var.table_capacity == null ? {} : {
    read  = merge(var.table_capacity.read, { dimension = "dynamodb:table:ReadCapacityUnits" })
    write = merge(var.table_capacity.write, { dimension = "dynamodb:table:WriteCapacityUnits" })
  }

  service_namespace  = "dynamodb"
  resource_id        = "table/${aws_dynamodb_table.events.name}"
  scalable_dimension = each.value.dimension
  min_capacity       = each.value.min
  max_capacity       = each.value.max
}

resource "aws_appautoscaling_policy" "table" {
  for_each = aws_appautoscaling_target.table

  name               = "${aws_dynamodb_table.events.name}-${each.key}"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = each.value.service_namespace
  resource_id        = each.value.resource_id
  scalable_dimension = each.value.scalable_dimension

  target_tracking_scaling_policy_configuration {
    target_value = 70 # percent of the provisioned units

    predefined_metric_specification {
      predefined_metric_type = {
        read  = "DynamoDBReadCapacityUtilization"
        write = "DynamoDBWriteCapacityUtilization"
      }[each.key]
    }
  }
}
