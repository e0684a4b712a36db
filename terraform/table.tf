locals {
  # Index of events => the attributes that it copies beside the keys. A filter on the type needs them.
  indexes = {
    by_time    = ["type"]
    by_type    = []
    by_subject = ["type"]
  }

  restored     = "events-restored" # the table that a person restores: see docs/operations.md
  events_table = aws_dynamodb_table.events[var.events_tables[0]]
}

# AWS restores a table without time to live, recovery, tags, deletion protection and policy. Terraform imports the table
# and sets them.
import {
  for_each = setintersection(var.events_tables, [local.restored])

  to = aws_dynamodb_table.events[each.key]
  id = "event-api-${var.stage}-${each.key}"
}

# Stages that were deployed before the setting `events_tables` keep their table.
moved {
  from = aws_dynamodb_table.events
  to   = aws_dynamodb_table.events["events"]
}

# The stage's own key encrypts the tables, if there is one. If not, DynamoDB's key does: it is free and needs no
# permissions. Terraform deletes a restored table only after a person has ended its deletion protection.
resource "aws_dynamodb_table" "events" {
  # checkov:skip=CKV_AWS_119:Each stage chooses whether it has its own key, which costs a dollar per month.
  for_each = toset(var.events_tables)

  name                        = "event-api-${var.stage}-${each.key}"
  billing_mode                = var.table_capacity == null ? "PAY_PER_REQUEST" : "PROVISIONED"
  read_capacity               = try(var.table_capacity.read.min, null)
  write_capacity              = try(var.table_capacity.write.min, null)
  hash_key                    = "pk" # <tenant>/<id>
  deletion_protection_enabled = var.protected || each.key == local.restored

  dynamic "attribute" {
    for_each = toset(concat(["pk", "position"], keys(local.indexes)))

    content {
      name = attribute.key
      type = "S"
    }
  }

  # An index is named after its partition key. eventsapp/chalicelib/index.py says what the keys contain.
  dynamic "global_secondary_index" {
    for_each = local.indexes

    content {
      name               = global_secondary_index.key
      hash_key           = global_secondary_index.key
      range_key          = "position"
      projection_type    = length(global_secondary_index.value) == 0 ? "KEYS_ONLY" : "INCLUDE"
      non_key_attributes = global_secondary_index.value

      # Terraform cannot ignore the capacity of an index alone, so autoscaling would undo each apply, and each apply
      # would undo autoscaling. An index always has the most that the table can have.
      read_capacity  = try(var.table_capacity.read.max, null)
      write_capacity = try(var.table_capacity.write.max, null)

      dynamic "on_demand_throughput" {
        for_each = var.table_capacity == null ? [var.request_caps.events] : []

        content {
          max_read_request_units  = on_demand_throughput.value.read
          max_write_request_units = on_demand_throughput.value.write
        }
      }
    }
  }

  ttl {
    attribute_name = "expires_at"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = true
  }

  dynamic "on_demand_throughput" {
    for_each = var.table_capacity == null ? [var.request_caps.events] : []

    content {
      max_read_request_units  = on_demand_throughput.value.read
      max_write_request_units = on_demand_throughput.value.write
    }
  }

  dynamic "server_side_encryption" {
    for_each = aws_kms_key.this

    content {
      enabled     = true
      kms_key_arn = server_side_encryption.value.arn
    }
  }

  lifecycle {
    # Autoscaling changes the capacity. When the mode changes, the provider starts at 1. Autoscaling then raises it to
    # the minimum.
    ignore_changes = [read_capacity, write_capacity]
  }
}

# Revoked and expired tokens stay in the table. It shows who could call the API, and when.
resource "aws_dynamodb_table" "tokens" {
  # checkov:skip=CKV_AWS_119:Each stage chooses whether it has its own key, which costs a dollar per month.
  name                        = "event-api-${var.stage}-tokens"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "key_id"
  deletion_protection_enabled = var.protected

  attribute {
    name = "key_id"
    type = "S"
  }

  point_in_time_recovery {
    enabled = true
  }

  on_demand_throughput {
    max_read_request_units  = var.request_caps.tokens.read
    max_write_request_units = var.request_caps.tokens.write
  }

  dynamic "server_side_encryption" {
    for_each = aws_kms_key.this

    content {
      enabled     = true
      kms_key_arn = server_side_encryption.value.arn
    }
  }
}

resource "aws_appautoscaling_target" "table" {
  for_each = var.table_capacity == null ? {} : {
    read  = merge(var.table_capacity.read, { dimension = "dynamodb:table:ReadCapacityUnits" })
    write = merge(var.table_capacity.write, { dimension = "dynamodb:table:WriteCapacityUnits" })
  }

  service_namespace  = "dynamodb"
  resource_id        = "table/${local.events_table.name}"
  scalable_dimension = each.value.dimension
  min_capacity       = each.value.min
  max_capacity       = each.value.max
}

resource "aws_appautoscaling_policy" "table" {
  for_each = aws_appautoscaling_target.table

  name               = "${local.events_table.name}-${each.key}"
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
