variable "stage" {
  description = "Stage to deploy: dev, staging or prod. It is also the last part of the API's URL."
  type        = string
  nullable    = false

  validation {
    condition     = contains(["dev", "staging", "prod"], var.stage)
    error_message = "The stage is unknown: use dev, staging or prod."
  }

  validation {
    condition     = var.stage == local.for_stage
    error_message = "The package is of stage ${local.for_stage}: run `make package STAGE=${var.stage}` first."
  }
}

variable "region" {
  description = "AWS region of all resources."
  type        = string
  nullable    = false
}

variable "retention_days" {
  description = "Days after which DynamoDB deletes a stored event; 0 keeps events for ever."
  type        = number
  nullable    = false

  validation {
    condition     = var.retention_days >= 0 && floor(var.retention_days) == var.retention_days
    error_message = "retention_days is not valid: use a whole number of days, or 0 to keep events for ever."
  }
}

variable "log_retention_days" {
  description = "Days after which CloudWatch deletes a log entry. CloudWatch Logs supports only some numbers."
  type        = number
  nullable    = false

  validation {
    condition     = var.log_retention_days > 0
    error_message = "log_retention_days is 0 or less: use at least 1, because 0 keeps logs for ever."
  }
}

variable "protected" {
  description = <<-EOT
    Whether only a person may change the tables and logs, and AWS lets nobody change or delete a stored event. After a
    change, a person applies terraform/oidc and then the stage.
  EOT
  type        = bool
  nullable    = false
}

variable "table_capacity" {
  description = "Provisioned capacity units of the table of events, with autoscaling. null is on demand: it suits irregular traffic."
  type = object({
    read  = object({ min = number, max = number })
    write = object({ min = number, max = number })
  })
  default = null

  validation {
    condition = var.table_capacity == null ? true : alltrue([
      for capacity in values(var.table_capacity) : 1 <= capacity.min && capacity.min <= capacity.max
    ])
    error_message = "table_capacity is not valid: set min to at least 1, and max to at least min."
  }
}

variable "events_tables" {
  description = <<-EOT
    Tables of events. The API uses the first one. A person adds "events-restored" after a restore: see docs/operations.md.
  EOT
  type        = list(string)
  default     = ["events"]
  nullable    = false

  validation {
    condition = contains(
      ["events", "events-restored events", "events events-restored"], join(" ", var.events_tables)
    )
    error_message = "events_tables is not valid: use [\"events\"], [\"events-restored\", \"events\"] or [\"events\", \"events-restored\"]."
  }
}

variable "index_shards" {
  description = <<-EOT
    Parts of each index. One part of an index takes 1,000 writes per second, and a list reads all parts. The number may
    grow, and must never shrink: a list would not find the events in the removed parts.
  EOT
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = 1 <= var.index_shards && var.index_shards <= 64 && floor(var.index_shards) == var.index_shards
    error_message = "index_shards is not valid: use a whole number from 1 to 64."
  }
}

variable "request_caps" {
  description = <<-EOT
    Request units per second. Above them, an on-demand table throttles. They limit the cost of a flood of requests. Each
    index of the events has the caps of the table.
  EOT
  type = object({
    events = object({ read = number, write = number })
    tokens = object({ read = number, write = number })
  })
  nullable = false

  validation {
    condition     = var.request_caps.events.read >= 65 && var.request_caps.events.write >= 257
    error_message = "request_caps.events is too low: set read to at least 65 and write to at least 257, as the largest event needs."
  }

  validation {
    condition     = var.request_caps.tokens.read >= 1 && var.request_caps.tokens.write >= 1
    error_message = "request_caps.tokens is too low: set read and write to at least 1. Otherwise every request fails."
  }
}

variable "throttle" {
  description = <<-EOT
    Requests per second (rate), and requests at once above the rate (burst). API Gateway responds to more with 429.
    `write` limits POST /events. `read` limits each other method separately.
  EOT
  type = object({
    read  = object({ rate = number, burst = number })
    write = object({ rate = number, burst = number })
  })
  nullable = false

  validation {
    condition     = alltrue([for limit in values(var.throttle) : limit.rate > 0 && limit.burst > 0])
    error_message = "A rate or burst in throttle is 0 or less: use more than 0. API Gateway would refuse every request."
  }
}

variable "concurrency" {
  description = <<-EOT
    How many calls of each function run at once. -1 reserves nothing: the function shares the rest of the account's
    quota. A reservation reduces that rest. AWS keeps 100 unreserved, so a new account may have nothing to reserve.
  EOT
  type        = object({ api_handler = number, authorizer = number })
  nullable    = false

  validation {
    condition     = alltrue([for most in values(var.concurrency) : most == -1 || most >= 1])
    error_message = "A value in concurrency is not valid: use at least 1, or -1 for no limit. A function with 0 never runs."
  }
}

variable "token_cache_seconds" {
  description = <<-EOT
    How long API Gateway caches the authorizer's policy for a token (0 to 3600; 0 caches nothing). A revoked or expired
    token may still work for this long.
  EOT
  type        = number
  default     = 300
  nullable    = false

  validation {
    condition     = 0 <= var.token_cache_seconds && var.token_cache_seconds <= 3600 && floor(var.token_cache_seconds) == var.token_cache_seconds
    error_message = "token_cache_seconds is not valid: use a whole number from 0 to 3600, the range of API Gateway."
  }
}

variable "firewall" {
  description = "Firewall of the stage: the number of requests that one address may send in five minutes. null is no firewall."
  type        = object({ requests_per_address = number })
  default     = null

  validation {
    condition     = var.firewall == null ? true : var.firewall.requests_per_address >= 10
    error_message = "requests_per_address is below WAF's minimum: use at least 10."
  }
}

variable "customer_key" {
  description = "Whether tables, logs and the functions' environment are encrypted with the stage's own key."
  type        = bool
  nullable    = false
}

variable "cors_origins" {
  description = <<-EOT
    Origins whose web pages may call the API, like "https://app.example.com". ["*"] allows every page, [] allows none.
    If the list has an origin, an OPTIONS request needs no token.
  EOT
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition = var.cors_origins == tolist(["*"]) || alltrue([
      for origin in var.cors_origins :
      can(regex("^(https://[a-z0-9.-]+|http://(localhost|127\\.0\\.0\\.1))(:[0-9]{1,5})?$", origin))
    ])
    error_message = "An origin is not valid: write https://host or http://localhost, with a port if it is not the default, without a path. \"*\" must be the only one."
  }

  validation {
    condition     = !anytrue([for origin in var.cors_origins : can(regex("^(https://.*:443|http://.*:80)$", origin))])
    error_message = "An origin has its default port, which browsers do not send: remove :443 after https, and :80 after http."
  }
}

variable "traffic_shift" {
  description = <<-EOT
    How a release takes over the traffic: one of CodeDeploy's configurations for Lambda that last at most 30 minutes,
    without `CodeDeployDefault.`.
  EOT
  type        = string
  nullable    = false

  validation {
    condition = contains(concat(
      ["LambdaAllAtOnce", "LambdaLinear10PercentEvery1Minute"],
      [for minutes in [5, 10, 15, 30] : "LambdaCanary10Percent${minutes}Minutes"],
      [for minutes in [2, 3] : "LambdaLinear10PercentEvery${minutes}Minutes"],
    ), var.traffic_shift)
    error_message = "traffic_shift is not valid: use LambdaAllAtOnce, LambdaCanary10Percent5Minutes (or 10, 15, 30) or LambdaLinear10PercentEvery1Minute (or 2Minutes, 3Minutes)."
  }
}

variable "alarms" {
  description = <<-EOT
    Counts in one minute at which an alarm fires, and milliseconds for `slow_ms`. Each has a default. null: no alarms.
  EOT
  type = object({
    server_errors       = optional(number, 5)   # responses with 500 or more
    function_errors     = optional(number, 1)   # calls that crashed or timed out
    function_throttles  = optional(number, 5)   # calls that Lambda refused
    authorizer_failures = optional(number, 5)   # tokens that the authorizer could not check
    store_unavailable   = optional(number, 5)   # responses with `store-unavailable`
    store_throttles     = optional(number, 100) # requests that DynamoDB throttled; the function retries them
    store_errors        = optional(number, 5)   # requests that DynamoDB failed to handle
    unauthorized        = optional(number, 100) # responses with 401
    too_many_requests   = optional(number, 100) # responses with 429
    blocked             = optional(number, 100) # requests that the firewall blocked
    slow_ms = optional(object({                 # 99 % of calls are faster
      api_handler = optional(number, 3000)
      authorizer  = optional(number, 2000)
    }), {})
  })
  default = {}

  validation {
    condition = var.alarms == null ? true : alltrue([
      for count in values(merge(var.alarms, { slow_ms = 1 }, var.alarms.slow_ms)) : count >= 1
    ])
    error_message = "A value in alarms is below 1: the alarm would never end. Use at least 1."
  }
}

variable "alarm_email" {
  description = "E-mail address that gets the alarms. AWS first sends a link, which somebody must open. null: no e-mail."
  type        = string
  default     = null

  validation {
    condition     = var.alarm_email == null ? true : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", var.alarm_email))
    error_message = "alarm_email is not an e-mail address: write one address, like name@example.com."
  }
}
