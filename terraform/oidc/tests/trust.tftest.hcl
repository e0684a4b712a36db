# The real provider: it renders policy documents by itself, and planning what is new asks AWS nothing else.
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
  github_owner = "octo-org"
  github_repo  = "events"

  contexts = {
    dev     = "environment:dev"
    staging = "environment:staging"
    prod    = "environment:prod"
    plan    = "pull_request"
  }
}

run "by_names_a_role_trusts_its_one_subject" {
  command = plan

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
              "token.actions.githubusercontent.com:sub" = "repo:octo-org/events:${context}"
            }
          }
        }]
      } })
    )
    error_message = "Each role is trusted by plain equality with one audience and one subject."
  }

  assert {
    condition = jsonencode(merge(
      { for stage, role in aws_iam_role.deploy : stage => jsondecode(role.assume_role_policy) },
      { plan = jsondecode(aws_iam_role.plan.assume_role_policy) },
    )) == jsonencode({ for role, trust in data.aws_iam_policy_document.trust : role => jsondecode(trust.json) })
    error_message = "Each role has the trust policy of its own key."
  }

  assert {
    condition = (one(aws_iam_openid_connect_provider.github).url == "https://token.actions.githubusercontent.com"
    && one(one(aws_iam_openid_connect_provider.github).client_id_list) == "sts.amazonaws.com")
    error_message = "GitHub is the provider and STS the audience."
  }
}

run "by_names_and_numbers_a_role_trusts_the_two_forms_of_its_one_subject" {
  command = plan

  variables {
    github_owner_id = "6894"
    github_repo_id  = "45817"
  }

  assert {
    condition = jsonencode({
      for role, trust in data.aws_iam_policy_document.trust : role => one(jsondecode(trust.json).Statement).Condition
      }) == jsonencode({ for role, context in var.contexts : role => {
        StringEquals = {
          "token.actions.githubusercontent.com:aud" = "sts.amazonaws.com"
          "token.actions.githubusercontent.com:sub" = [
            "repo:octo-org/events:${context}",
            "repo:octo-org@6894/events@45817:${context}",
          ]
        }
    } })
    error_message = "With the numbers each role is trusted in both forms, and in no other."
  }
}

run "one_id_without_the_other_a_wildcard_owner_and_a_repository_with_its_owner_are_refused" {
  command = plan

  variables {
    github_repo_id = "45817"
    github_owner   = "octo-*"
    github_repo    = "octo-org/events"
  }

  expect_failures = [var.github_repo_id, var.github_owner, var.github_repo]
}

run "a_number_that_is_none_is_refused" {
  command = plan

  variables {
    github_owner_id = "*"
    github_repo_id  = "45817"
  }

  expect_failures = [var.github_owner_id]
}

run "the_accounts_own_provider_is_used_where_it_is_said_to_be" {
  command = plan

  variables {
    oidc_provider_exists = true
  }

  override_data {
    target = data.aws_iam_openid_connect_provider.github
    values = { client_id_list = ["sts.amazonaws.com"] }
  }

  assert {
    condition     = length(aws_iam_openid_connect_provider.github) == 0
    error_message = "An account can hold only one provider of GitHub."
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
