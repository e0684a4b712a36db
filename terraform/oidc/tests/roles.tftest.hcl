# The real provider renders policy documents on this machine. A plan of new resources makes no other call of AWS.
provider "aws" {
  region                      = "ap-southeast-1"
  access_key                  = "none"
  secret_key                  = "none"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}

provider "aws" {
  alias                       = "staging"
  region                      = "ap-southeast-1"
  access_key                  = "none"
  secret_key                  = "none"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}

provider "aws" {
  alias                       = "dev"
  region                      = "ap-southeast-1"
  access_key                  = "none"
  secret_key                  = "none"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}

override_data {
  target = data.aws_caller_identity.this
  values = { account_id = "123456789012" }
}

variables {
  github_owner    = "octo-org"
  github_owner_id = "6894"
  github_repo     = "events"
  github_repo_id  = "45817"

  contexts = {
    dev              = "environment:dev"
    staging          = "environment:staging"
    prod             = "environment:prod"
    plan-dev         = "environment:dev-check"
    plan-staging     = "environment:staging-check"
    plan-prod        = "environment:prod-check"
    rollback-dev     = "environment:dev-check"
    rollback-staging = "environment:staging-check"
    rollback-prod    = "environment:prod-check"
  }
}

# tests/oidc reads this plan too: it tests the policies.
run "roles_state_and_log_role" {
  command = plan

  assert {
    condition     = sort(keys(aws_iam_role.deploy)) == tolist(["dev", "prod", "staging"])
    error_message = "Each stage has a deploy role."
  }

  assert {
    condition = alltrue([for stage, role in aws_iam_role.deploy : (
      role.name == "event-api-deploy-${stage}"
      && aws_iam_role_policy_attachment.deploy[stage].role == "event-api-deploy-${stage}"
      && aws_iam_role_policy_attachment.deploy_edge[stage].role == "event-api-deploy-${stage}"
      && aws_iam_role_policy_attachment.deploy_release[stage].role == "event-api-deploy-${stage}"
      && aws_iam_role_policy_attachment.deploy_monitoring[stage].role == "event-api-deploy-${stage}"
      && length(aws_iam_policy.deploy[stage].policy) <= 6144
      && length(aws_iam_policy.deploy_edge[stage].policy) <= 6144
      && length(aws_iam_policy.deploy_release[stage].policy) <= 6144
      && length(aws_iam_policy.deploy_monitoring[stage].policy) <= 6144
      && length(aws_iam_policy.deploy_boundary[stage].policy) <= 6144
    )])
    error_message = "Each deploy role has its stage's policies, within AWS's limit of 6144 characters."
  }

  assert {
    condition = alltrue([for stage, role in aws_iam_role.plan : (
      role.name == "event-api-plan-${stage}"
      && aws_iam_role_policy_attachment.plan[stage].role == "event-api-plan-${stage}"
      && length(aws_iam_policy.plan[stage].policy) <= 6144
    )]) && sort(keys(aws_iam_role.plan)) == tolist(["dev", "prod", "staging"])
    error_message = "Each stage has a plan role with its policy, within AWS's limit of 6144 characters."
  }

  assert {
    condition = alltrue([for stage, role in aws_iam_role.rollback : (
      role.name == "event-api-rollback-${stage}"
      && aws_iam_role_policy_attachment.rollback[stage].role == "event-api-rollback-${stage}"
    )]) && sort(keys(aws_iam_role.rollback)) == tolist(["dev", "prod", "staging"])
    error_message = "Each stage has a role for rollbacks with its policy."
  }

  assert {
    condition = alltrue([for stage, role in aws_iam_role.codedeploy : (
      role.name == "event-api-${stage}-codedeploy"
      && aws_iam_role_policy.codedeploy[stage].role == role.name
      && one(jsondecode(role.assume_role_policy).Statement).Principal.Service == "codedeploy.amazonaws.com"
    )]) && sort(keys(aws_iam_role.codedeploy)) == tolist(["dev", "prod", "staging"])
    error_message = "Each stage has a role that only CodeDeploy can assume, with the name that terraform/ uses."
  }

  assert {
    condition = alltrue([for stage in ["dev", "staging", "prod"] : (
      aws_iam_role.function["${stage}/api_handler"].name == "event-api-${stage}-api_handler"
      && aws_iam_role.function["${stage}/authorizer"].name == "event-api-${stage}-authorizer"
      && alltrue([for key, policy in aws_iam_role_policy.function : policy.role == aws_iam_role.function[key].name])
    )])
    error_message = "Each stage has a role for its function and one for its authorizer, with the names that terraform/ uses."
  }

  assert {
    condition = alltrue([
      for role in values(aws_iam_role.function) :
      jsonencode([for s in jsondecode(role.assume_role_policy).Statement : [s.Effect, s.Action, s.Principal]])
      == jsonencode([["Allow", "sts:AssumeRole", { Service = "lambda.amazonaws.com" }]])
    ])
    error_message = "Only Lambda can assume the functions' roles."
  }

  assert {
    condition     = aws_s3_bucket.state.bucket == "event-api-state-123456789012" && !aws_s3_bucket.state.force_destroy
    error_message = "The bucket's name has the account's id. Terraform does not delete a bucket that has objects."
  }

  assert {
    condition     = one(aws_s3_bucket_versioning.state.versioning_configuration).status == "Enabled"
    error_message = "An older state can be restored."
  }

  assert {
    condition = [
      for rule in aws_s3_bucket_server_side_encryption_configuration.state.rule :
      one(rule.apply_server_side_encryption_by_default).sse_algorithm
    ] == ["AES256"]
    error_message = "The state is encrypted."
  }

  assert {
    condition = (
      aws_s3_bucket_public_access_block.state.block_public_acls
      && aws_s3_bucket_public_access_block.state.block_public_policy
      && aws_s3_bucket_public_access_block.state.ignore_public_acls
      && aws_s3_bucket_public_access_block.state.restrict_public_buckets
    )
    error_message = "The bucket blocks public access to the state."
  }

  assert {
    condition = jsonencode([
      for s in jsondecode(aws_s3_bucket_policy.state.policy).Statement : [s.Effect, s.Action, s.Principal, s.Condition]
      ]) == jsonencode([
      ["Deny", "s3:*", "*", { Bool = { "aws:SecureTransport" = "false" } }],
      ["Deny", "s3:*", "*", { NumericLessThan = { "s3:TlsVersion" = "1.2" } }],
    ])
    error_message = "The bucket accepts only TLS 1.2 or newer."
  }

  assert {
    condition = (
      one(jsondecode(aws_iam_role.gateway_log[0].assume_role_policy).Statement).Principal.Service
      == "apigateway.amazonaws.com"
      && aws_iam_role_policy_attachment.gateway_log[0].role == aws_iam_role.gateway_log[0].name
      && endswith(aws_iam_role_policy_attachment.gateway_log[0].policy_arn, "/AmazonAPIGatewayPushToCloudWatchLogs")
    )
    error_message = "API Gateway can assume the account's log role, and the role can write logs."
  }

  assert {
    condition = length(distinct(values(local.regions))) == (
      length(aws_api_gateway_account.prod)
      + length(aws_api_gateway_account.staging)
      + length(aws_api_gateway_account.dev)
    )
    error_message = "Each region that has a stage gets the log role once."
  }

  assert {
    condition = jsonencode({
      for role, trust in data.aws_iam_policy_document.trust : role => jsondecode(trust.json)
      }) == (
      jsonencode({ for role, context in var.contexts : role => {
        Version = "2012-10-17"
        Statement = [{
          Effect    = "Allow"
          Action    = "sts:AssumeRoleWithWebIdentity"
          Principal = { Federated = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com" }
          Condition = {
            StringEquals = {
              "token.actions.githubusercontent.com:aud" = "sts.amazonaws.com"
              "token.actions.githubusercontent.com:sub" = "repo:octo-org@6894/events@45817:${context}"
            }
          }
        }]
      } })
    )
    error_message = "Each role trusts exactly one audience and one subject, without wildcards."
  }

  assert {
    condition = jsonencode(merge(
      { for stage, role in aws_iam_role.deploy : stage => jsondecode(role.assume_role_policy) },
      { for stage, role in aws_iam_role.plan : "plan-${stage}" => jsondecode(role.assume_role_policy) },
      { for stage, role in aws_iam_role.rollback : "rollback-${stage}" => jsondecode(role.assume_role_policy) },
    )) == jsonencode({ for role, trust in data.aws_iam_policy_document.trust : role => jsondecode(trust.json) })
    error_message = "Each role has its own trust policy."
  }

  assert {
    condition = (one(aws_iam_openid_connect_provider.github).url == "https://token.actions.githubusercontent.com"
    && one(one(aws_iam_openid_connect_provider.github).client_id_list) == "sts.amazonaws.com")
    error_message = "The provider is GitHub, and the audience is STS."
  }
}

run "prod_has_daily_backups_in_a_locked_vault" {
  command = plan

  variables {
    backup = { lock_days = 7, copy_to = "arn:aws:backup:eu-west-1:210987654321:backup-vault:copies" }
  }

  assert {
    condition = (
      aws_backup_vault_lock_configuration.this["prod"].min_retention_days == 365
      && aws_backup_vault_lock_configuration.this["prod"].changeable_for_days == 7
      && !aws_backup_vault.this["prod"].force_destroy
    )
    error_message = "Nobody can delete a backup in its first year. After seven days nobody can unlock the vault."
  }

  assert {
    condition = jsonencode([for rule in aws_backup_plan.this["prod"].rule : [
      rule.schedule, rule.target_vault_name, one(rule.lifecycle).cold_storage_after, one(rule.lifecycle).delete_after,
      [for copy in rule.copy_action : [copy.destination_vault_arn, one(copy.lifecycle).delete_after]],
      ]]) == jsonencode([[
      "cron(0 17 * * ? *)", "event-api-prod", 30, 365,
      [["arn:aws:backup:eu-west-1:210987654321:backup-vault:copies", 365]],
    ]])
    error_message = "A backup is made every day, kept for a year, and copied to the other account."
  }

  assert {
    condition = sort(aws_backup_selection.this["prod"].resources) == tolist([
      "arn:aws:dynamodb:${local.regions.prod}:123456789012:table/event-api-prod-events",
      "arn:aws:dynamodb:${local.regions.prod}:123456789012:table/event-api-prod-events-restored",
      "arn:aws:dynamodb:${local.regions.prod}:123456789012:table/event-api-prod-tokens",
    ])
    error_message = "The backups are of prod's tables, and of the restored one while it exists."
  }

  assert {
    condition = jsonencode([
      for s in jsondecode(aws_kms_key.backup["prod"].policy).Statement : [s.Sid, s.Principal.AWS]
      ]) == jsonencode([
      ["Account", "arn:aws:iam::123456789012:root"],
      ["Copy", "arn:aws:iam::210987654321:root"],
      ["CopyGrants", "arn:aws:iam::210987654321:root"],
    ])
    error_message = "Only this account and the other one can use the key of the backups."
  }
}

run "without_settings_an_administrator_can_unlock_the_vault" {
  command = plan

  assert {
    condition = (
      aws_backup_vault_lock_configuration.this["prod"].min_retention_days == 365
      && aws_backup_vault_lock_configuration.this["prod"].changeable_for_days == null
      && alltrue([for rule in aws_backup_plan.this["prod"].rule : length(rule.copy_action) == 0])
      && length(jsondecode(aws_kms_key.backup["prod"].policy).Statement) == 1
    )
    error_message = "The lock is in governance mode, and there is no copy."
  }
}

run "backups_are_deleted_only_on_request" {
  command = plan

  variables {
    destroy_backups = true
  }

  assert {
    condition     = length(aws_backup_vault_lock_configuration.this) == 0 && aws_backup_vault.this["prod"].force_destroy
    error_message = "Terraform unlocks the vault and may delete it."
  }
}

run "what_the_account_has_already_is_left_as_it_is" {
  command = plan

  variables {
    gateway_log_role_exists_in = values(run.roles_state_and_log_role.regions)
    oidc_provider_exists       = true
  }

  override_data {
    target = data.aws_iam_openid_connect_provider.github
    values = { client_id_list = ["sts.amazonaws.com"] }
  }

  assert {
    condition     = length(aws_iam_openid_connect_provider.github) == 0
    error_message = "If the account has GitHub's provider, Terraform creates no second one."
  }

  assert {
    condition = 0 == (
      length(aws_api_gateway_account.prod)
      + length(aws_api_gateway_account.staging)
      + length(aws_api_gateway_account.dev)
      + length(aws_iam_role.gateway_log)
    )
    error_message = "If a region has a log role, Terraform does not replace it."
  }
}

run "the_accounts_own_provider_must_take_our_audience" {
  command = plan

  variables {
    oidc_provider_exists = true
  }

  override_data {
    target = data.aws_iam_openid_connect_provider.github
    values = { client_id_list = ["https://github.com/octo-org"] }
  }

  expect_failures = [data.aws_iam_openid_connect_provider.github]
}
