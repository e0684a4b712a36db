variable "github_owner" {
  description = "User or organization that owns the repository on GitHub, in GitHub's own upper and lower case."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9](-?[A-Za-z0-9])*$", var.github_owner))
    error_message = "An owner has letters, digits and single hyphens: no wildcard, no slash."
  }
}

variable "github_repo" {
  description = "Name of the repository on GitHub, without its owner, in GitHub's own upper and lower case."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]+$", var.github_repo))
    error_message = "A repository has letters, digits, dots, hyphens and underscores: no wildcard, no slash."
  }
}

variable "github_owner_id" {
  description = "Number of the owner: `gh api repos/OWNER/REPO --jq .owner.id`. Give both numbers or none."
  type        = string
  default     = null

  validation {
    condition     = var.github_owner_id == null ? true : can(regex("^[1-9][0-9]*$", var.github_owner_id))
    error_message = "GitHub's ids are whole numbers."
  }
}

variable "github_repo_id" {
  description = <<-EOT
    Number of the repository: `gh api repos/OWNER/REPO --jq .id`. A repository that was created, renamed or transferred
    after 15 July 2026 sends the two numbers in its tokens and needs them here; an older one may go without.
  EOT
  type        = string
  default     = null

  validation {
    condition     = var.github_repo_id == null ? true : can(regex("^[1-9][0-9]*$", var.github_repo_id))
    error_message = "GitHub's ids are whole numbers."
  }

  validation {
    condition     = (var.github_repo_id == null) == (var.github_owner_id == null)
    error_message = "Give github_owner_id and github_repo_id, or neither."
  }
}

variable "oidc_provider_exists" {
  description = "Whether the account already has GitHub's OIDC provider; an account can hold only one."
  type        = bool
  default     = false
  nullable    = false
}

variable "gateway_log_role_exists_in" {
  description = "Regions in which API Gateway has a log role in this account already; it is left as it is."
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
