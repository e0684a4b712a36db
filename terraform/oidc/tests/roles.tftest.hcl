# The real provider: it renders policy documents by itself, and planning what is new asks AWS nothing else.
provider "aws" {
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
  github_owner = "octo-org"
  github_repo  = "events"
}

# What it plans is also what tests/test_terraform.py tries the policies on.
run "a_role_is_bounded_by_the_one_policy_it_has" {
  command = plan

  assert {
    condition     = sort(keys(aws_iam_role.deploy)) == tolist(["dev", "prod", "staging"])
    error_message = "There is a deploy role a stage."
  }

  assert {
    condition = alltrue([for stage, role in aws_iam_role.deploy : (
      role.name == "event-api-deploy-${stage}"
      && aws_iam_role_policy_attachment.deploy[stage].role == "event-api-deploy-${stage}"
      && length(aws_iam_policy.deploy[stage].policy) <= 6144
    )])
    error_message = "Each deploy role has its stage's policy, which is within what AWS takes."
  }

  assert {
    condition     = aws_iam_role.plan.name == "event-api-plan" && length(aws_iam_policy.plan.policy) <= 6144
    error_message = "The plan role has its policy, which is within what AWS takes."
  }
}

run "roles_and_policies_are_wired" {
  override_resource {
    target          = aws_iam_policy.plan
    override_during = plan
    values          = { arn = "arn:aws:iam::123456789012:policy/event-api-plan" }
  }

  override_resource {
    target          = aws_iam_policy.deploy
    override_during = plan
    values          = { arn = "arn:aws:iam::123456789012:policy/event-api-deploy" }
  }

  command = plan

  assert {
    condition = alltrue([for stage, role in aws_iam_role.deploy : (
      role.permissions_boundary == "arn:aws:iam::123456789012:policy/event-api-deploy"
      && aws_iam_role_policy_attachment.deploy[stage].policy_arn == role.permissions_boundary
    )])
    error_message = "A deploy role's boundary is its own policy."
  }

  assert {
    condition = (
      aws_iam_role.plan.permissions_boundary == "arn:aws:iam::123456789012:policy/event-api-plan"
      && aws_iam_role_policy_attachment.plan.policy_arn == aws_iam_role.plan.permissions_boundary
    )
    error_message = "The plan role's boundary is its own policy."
  }
}

run "the_state_is_versioned_encrypted_private_and_read_over_tls_alone" {
  command = plan

  assert {
    condition     = aws_s3_bucket.state.bucket == "event-api-state-123456789012" && !aws_s3_bucket.state.force_destroy
    error_message = "The bucket is the account's, and is not deleted with what it holds."
  }

  assert {
    condition     = one(aws_s3_bucket_versioning.state.versioning_configuration).status == "Enabled"
    error_message = "An older state can be brought back."
  }

  assert {
    condition = one(one(one(aws_s3_bucket_server_side_encryption_configuration.state.rule)
    [*]).apply_server_side_encryption_by_default).sse_algorithm == "AES256"
    error_message = "The state is encrypted."
  }

  assert {
    condition = (
      aws_s3_bucket_public_access_block.state.block_public_acls
      && aws_s3_bucket_public_access_block.state.block_public_policy
      && aws_s3_bucket_public_access_block.state.ignore_public_acls
      && aws_s3_bucket_public_access_block.state.restrict_public_buckets
    )
    error_message = "Nothing makes the state public."
  }

  assert {
    condition = jsonencode([
      for s in jsondecode(aws_s3_bucket_policy.state.policy).Statement : [s.Effect, s.Action, s.Principal, s.Condition]
      ]) == jsonencode([
      ["Deny", "s3:*", "*", { Bool = { "aws:SecureTransport" = "false" } }],
      ["Deny", "s3:*", "*", { NumericLessThan = { "s3:TlsVersion" = "1.2" } }],
    ])
    error_message = "The state is read over TLS 1.2 or newer."
  }
}

run "api_gateway_may_log" {
  command = plan

  assert {
    condition = (
      jsondecode(aws_iam_role.gateway_log.assume_role_policy).Statement[0].Principal.Service == "apigateway.amazonaws.com"
      && aws_iam_role_policy_attachment.gateway_log.role == aws_iam_role.gateway_log.name
      && endswith(aws_iam_role_policy_attachment.gateway_log.policy_arn, "/AmazonAPIGatewayPushToCloudWatchLogs")
    )
    error_message = "API Gateway takes the account's log role, which can write logs."
  }
}
