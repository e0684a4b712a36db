variable "stage" {
  description = "Stage to deploy: dev, staging or prod. The packaged function must be of the same stage."
  type        = string
  nullable    = false

  validation {
    condition     = contains(["dev", "staging", "prod"], var.stage)
    error_message = "The stage is dev, staging or prod."
  }

  validation {
    condition     = var.stage == local.packaged_stage
    error_message = "The package is of stage ${local.packaged_stage}: run `make package STAGE=${var.stage}` first."
  }
}

variable "region" {
  description = "AWS region of all resources."
  type        = string
  nullable    = false
}

variable "retention_days" {
  description = "Days that an event is kept after it was stored; 0 keeps events for ever."
  type        = number
  nullable    = false

  validation {
    condition     = var.retention_days >= 0 && floor(var.retention_days) == var.retention_days
    error_message = "The retention is a whole number of days, or 0 for ever."
  }
}

variable "log_retention_days" {
  description = "Days that the function's log and the access log are kept; one of the periods CloudWatch Logs offers."
  type        = number
  nullable    = false

  validation {
    condition     = var.log_retention_days > 0
    error_message = "Logs have an end: 0 would keep them for ever."
  }
}

variable "deletion_protection" {
  description = "Whether DynamoDB refuses to delete the table."
  type        = bool
  nullable    = false
}

variable "table_capacity" {
  description = "Provisioned capacity units of the table, scaled by use; null pays per request, for unsteady use."
  type = object({
    read  = object({ min = number, max = number })
    write = object({ min = number, max = number })
  })
  default = null

  validation {
    condition = var.table_capacity == null ? true : alltrue([
      for capacity in values(var.table_capacity) : 1 <= capacity.min && capacity.min <= capacity.max
    ])
    error_message = "Each capacity has 1 <= min <= max."
  }
}

variable "throttle" {
  description = "Requests a second that each method takes (rate), and how many at once above it (burst); beyond is 429."
  type        = object({ rate = number, burst = number })
  nullable    = false

  validation {
    condition     = var.throttle.rate > 0 && var.throttle.burst > 0
    error_message = "A rate or burst of 0 would refuse every request."
  }
}
