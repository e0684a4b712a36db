variable "stage" {
  description = "Stage to deploy: dev, staging or prod. It is also the last part of the API's URL."
  type        = string
  nullable    = false

  validation {
    condition     = contains(["dev", "staging", "prod"], var.stage)
    error_message = "The stage is dev, staging or prod."
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
  description = "Days that an event is kept after it was stored; 0 keeps events for ever."
  type        = number
  nullable    = false

  validation {
    condition     = var.retention_days >= 0 && floor(var.retention_days) == var.retention_days
    error_message = "The retention is a whole number of days, or 0 for ever."
  }
}

variable "log_retention_days" {
  description = "Days that the functions' logs and the access log are kept; a period that CloudWatch Logs supports."
  type        = number
  nullable    = false

  validation {
    condition     = var.log_retention_days > 0
    error_message = "Logs need a retention: 0 would keep them for ever."
  }
}

variable "deletion_protection" {
  description = "Whether DynamoDB refuses to delete the table."
  type        = bool
  nullable    = false
}

variable "table_capacity" {
  description = "Provisioned capacity units of the table, with autoscaling; null is on demand, for irregular traffic."
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
  description = "Request units per second at which an on-demand table throttles. They limit the cost of a flood."
  type = object({
    events = object({ read = number, write = number })
    tokens = object({ read = number, write = number })
  })
  nullable = false

  validation {
    condition     = var.request_caps.events.read >= 65 && var.request_caps.events.write >= 257
    error_message = "The largest event needs 257 units to write and 65 to read: allow at least that."
  }

  validation {
    condition     = var.request_caps.tokens.read >= 1 && var.request_caps.tokens.write >= 1
    error_message = "The tokens need at least 1 unit each, or no caller is authorized."
  }
}

variable "throttle" {
  description = <<-EOT
    Requests per second of each method (rate), and how many at once above it (burst). More get 429. `write` is
    POST /events. `read` applies to each other method separately.
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
    How many calls of each function run at once; -1 is the rest of the account's quota. A reservation reduces that
    quota, and AWS keeps 100 of it unreserved: a new account may have none to reserve.
  EOT
  type        = object({ api_handler = number, authorizer = number })
  nullable    = false

  validation {
    condition     = alltrue([for most in values(var.concurrency) : most == -1 || most >= 1])
    error_message = "At least 1, or -1 for no limit: a function with 0 never runs."
  }
}

variable "token_cache_seconds" {
  description = <<-EOT
    How long API Gateway caches the authorizer's result for a token (0 to 3600; 0 caches nothing). A revoked or expired
    token may work for this long.
  EOT
  type        = number
  default     = 300
  nullable    = false

  validation {
    condition     = 0 <= var.token_cache_seconds && var.token_cache_seconds <= 3600 && floor(var.token_cache_seconds) == var.token_cache_seconds
    error_message = "API Gateway caches for 0 to 3600 whole seconds."
  }
}

variable "firewall" {
  description = "Firewall in front of the stage, with the requests that one address may send in five minutes; null is no firewall."
  type        = object({ requests_per_address = number })
  default     = null

  validation {
    condition     = var.firewall == null ? true : var.firewall.requests_per_address >= 10
    error_message = "WAF accepts 10 requests or more."
  }
}

variable "customer_key" {
  description = "Whether tables, logs and the functions' environment are encrypted with the stage's own key."
  type        = bool
  nullable    = false
}

variable "cors_origins" {
  description = <<-EOT
    Origins whose web pages may call the API, like "https://app.example.com"; ["*"] allows every page, [] allows none.
    With an origin, a request with the method OPTIONS needs no token.
  EOT
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition = var.cors_origins == tolist(["*"]) || alltrue([
      for origin in var.cors_origins :
      can(regex("^(https://[a-z0-9.-]+|http://(localhost|127\\.0\\.0\\.1))(:[0-9]{1,5})?$", origin))
    ])
    error_message = "An origin is https://host, or http://localhost, with a port if it is not the default one, and no path. \"*\" stands alone."
  }

  validation {
    condition     = !anytrue([for origin in var.cors_origins : can(regex("^(https://.*:443|http://.*:80)$", origin))])
    error_message = "Browsers do not send the default port in an origin: leave out :443 after https, and :80 after http."
  }
}
