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
