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

variable "request_caps" {
  description = "Request units a second of each table on demand, beyond which it throttles; they bound what a flood costs."
  type = object({
    events = object({ read = number, write = number })
    tokens = object({ read = number, write = number })
  })
  nullable = false

  validation {
    condition     = var.request_caps.events.read >= 65 && var.request_caps.events.write >= 257
    error_message = "One event of the largest size takes 257 units to write and 65 to read: let that through."
  }

  validation {
    condition     = var.request_caps.tokens.read >= 1 && var.request_caps.tokens.write >= 1
    error_message = "Without a unit for the tokens nobody is let in."
  }
}

variable "throttle" {
  description = <<-EOT
    Requests a second that each method takes (rate), and how many at once above it (burst); beyond is 429. `write` is
    POST /events; `read` is GET and HEAD, each by itself.
  EOT
  type = object({
    read  = object({ rate = number, burst = number })
    write = object({ rate = number, burst = number })
  })
  nullable = false

  validation {
    condition     = alltrue([for limit in values(var.throttle) : limit.rate > 0 && limit.burst > 0])
    error_message = "A rate or burst of 0 would refuse every request."
  }
}

variable "concurrency" {
  description = <<-EOT
    How many calls of each function run at once; -1 for as many as the account has left. What is reserved is taken from
    the account's own quota, 100 of which AWS keeps for its other functions: a new account has none to give.
  EOT
  type        = object({ api_handler = number, authorizer = number })
  nullable    = false

  validation {
    condition     = alltrue([for most in values(var.concurrency) : most == -1 || most >= 1])
    error_message = "At least 1, or -1 for no limit: a function with 0 runs never."
  }
}

variable "token_cache_seconds" {
  description = <<-EOT
    How long the gateway keeps what it was told of a token (up to 3600; 0 asks each time). So long a token may still work
    after it was revoked or has ended.
  EOT
  type        = number
  default     = 300
  nullable    = false

  validation {
    condition     = 0 <= var.token_cache_seconds && var.token_cache_seconds <= 3600 && floor(var.token_cache_seconds) == var.token_cache_seconds
    error_message = "API Gateway keeps an answer for 0 to 3600 whole seconds."
  }
}

variable "firewall" {
  description = "Firewall in front of the stage, with the requests that one address may send in five minutes; null is none."
  type        = object({ requests_per_address = number })
  default     = null

  validation {
    condition     = var.firewall == null ? true : var.firewall.requests_per_address >= 10
    error_message = "WAF counts at least 10 requests of an address."
  }
}

variable "customer_key" {
  description = "Whether tables, logs and environment are encrypted with a key of the stage's own."
  type        = bool
  nullable    = false
}
