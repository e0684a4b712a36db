variable "github_owner" {
  description = "User or organization that owns the repository on GitHub. Use the same upper and lower case as GitHub."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9](-?[A-Za-z0-9])*$", var.github_owner))
    error_message = "github_owner is not valid: use letters, digits and single hyphens, without a wildcard or a slash."
  }
}

variable "github_repo" {
  description = "Name of the repository on GitHub, without its owner. Use the same upper and lower case as GitHub."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]+$", var.github_repo))
    error_message = "github_repo is not valid: use letters, digits, dots, hyphens and underscores, without a wildcard or a slash."
  }
}

variable "github_owner_id" {
  description = "Number of the owner: `gh api repos/OWNER/REPO --jq .owner.id`."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[1-9][0-9]*$", var.github_owner_id))
    error_message = "github_owner_id is not valid: use the whole number that the command in its description prints."
  }
}

variable "github_repo_id" {
  description = "Number of the repository: `gh api repos/OWNER/REPO --jq .id`."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[1-9][0-9]*$", var.github_repo_id))
    error_message = "github_repo_id is not valid: use the whole number that the command in its description prints."
  }
}

variable "oidc_provider_exists" {
  description = "Whether the account already has GitHub's OIDC provider. An account can have only one."
  type        = bool
  default     = false
  nullable    = false
}

variable "gateway_log_role_exists_in" {
  description = "Regions where this account already has a log role for API Gateway. Terraform does not change it there."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "destroy_state" {
  description = "Whether destroying this root deletes the state of all stages too. Destroy the stages first."
  type        = bool
  default     = false
  nullable    = false
}

variable "backup" {
  description = <<-EOT
    Daily backups of prod's tables, if prod is protected. They are deleted after `keep_days`, and move to cheaper cold
    storage after `cold_after_days` (0: never). After `lock_days`, at least 3, nobody can unlock or delete them (null:
    an administrator can). `copy_to` is the ARN of a vault in another account (null: no copy).
  EOT
  type = object({
    keep_days       = optional(number, 365)
    cold_after_days = optional(number, 30)
    lock_days       = optional(number)
    copy_to         = optional(string)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.backup.keep_days >= 1 && floor(var.backup.keep_days) == var.backup.keep_days
    error_message = "backup.keep_days is not valid: use a whole number of days, at least 1."
  }

  validation {
    condition     = var.backup.cold_after_days == 0 || var.backup.keep_days >= var.backup.cold_after_days + 90
    error_message = "backup.cold_after_days is too late: AWS keeps a backup in cold storage for at least 90 days. Use 0, or at most keep_days - 90."
  }

  validation {
    condition     = var.backup.lock_days == null ? true : var.backup.lock_days >= 3
    error_message = "backup.lock_days is below AWS Backup's minimum: use at least 3, or null."
  }

  validation {
    condition     = var.backup.copy_to == null ? true : can(regex("^arn:[a-z-]+:backup:[a-z0-9-]+:[0-9]{12}:backup-vault:[A-Za-z0-9_.-]+$", var.backup.copy_to))
    error_message = "backup.copy_to is not the ARN of a backup vault: write arn:aws:backup:REGION:ACCOUNT:backup-vault:NAME."
  }
}

variable "destroy_backups" {
  description = "Whether Terraform may unlock the vault and delete all backups when it destroys this root."
  type        = bool
  default     = false
  nullable    = false
}

variable "monthly_budget_usd" {
  description = "Budget in US dollars per month. At 80 %, AWS sends a message to `budget_email`. null: no budget."
  type        = number
  default     = null

  validation {
    condition     = var.monthly_budget_usd == null ? true : var.monthly_budget_usd > 0
    error_message = "monthly_budget_usd is 0 or less: use more than 0, or null for no budget."
  }

  validation {
    condition     = var.monthly_budget_usd == null || var.budget_email != null
    error_message = "monthly_budget_usd needs budget_email: set the address that gets the message."
  }
}

variable "budget_email" {
  description = "E-mail address that gets the budget's messages."
  type        = string
  default     = null

  validation {
    condition     = var.budget_email == null ? true : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", var.budget_email))
    error_message = "budget_email is not an e-mail address: write one address, like name@example.com."
  }
}

variable "budget_by_tag" {
  description = <<-EOT
    Whether the budget counts only resources with the tag `project`. Activate this tag in the account's billing settings
    first: until then, the budget counts nothing. If false, it counts the services that the API uses, in the whole
    account.
  EOT
  type        = bool
  default     = false
  nullable    = false
}
