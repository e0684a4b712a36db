mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }

  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }

  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:ap-southeast-1:123456789012:key/made", key_id = "made" }
  }

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/made" }
  }
}

mock_provider "aws" {
  alias = "staging"
}

mock_provider "aws" {
  alias = "dev"
}

override_resource {
  target = aws_iam_policy.deploy
  values = { arn = "arn:aws:iam::123456789012:policy/of-a-deploy-role" }
}

override_resource {
  target = aws_iam_policy.deploy_edge
  values = { arn = "arn:aws:iam::123456789012:policy/of-a-deploy-role-too" }
}

override_resource {
  target = aws_iam_policy.deploy_monitoring
  values = { arn = "arn:aws:iam::123456789012:policy/of-a-deploy-role-as-well" }
}

override_resource {
  target = aws_iam_policy.deploy_boundary
  values = { arn = "arn:aws:iam::123456789012:policy/of-no-right" }
}

override_resource {
  target = aws_iam_policy.plan
  values = { arn = "arn:aws:iam::123456789012:policy/of-the-plan-role" }
}

override_resource {
  target = aws_iam_policy.deploy_release
  values = { arn = "arn:aws:iam::123456789012:policy/of-a-deploy-role-for-releases" }
}

override_resource {
  target = aws_iam_policy.rollback
  values = { arn = "arn:aws:iam::123456789012:policy/of-the-rollback-role" }
}

variables {
  github_owner    = "octo-org"
  github_owner_id = "6894"
  github_repo     = "events"
  github_repo_id  = "45817"
}

run "a_role_has_its_policies_and_its_boundary" {
  assert {
    condition = alltrue([for stage, role in aws_iam_role.deploy : (
      role.permissions_boundary == "arn:aws:iam::123456789012:policy/of-no-right"
      && aws_iam_role_policy_attachment.deploy[stage].policy_arn == aws_iam_policy.deploy[stage].arn
      && aws_iam_role_policy_attachment.deploy_edge[stage].policy_arn == aws_iam_policy.deploy_edge[stage].arn
      && aws_iam_role_policy_attachment.deploy_release[stage].policy_arn == aws_iam_policy.deploy_release[stage].arn
      && (
        aws_iam_role_policy_attachment.deploy_monitoring[stage].policy_arn == aws_iam_policy.deploy_monitoring[stage].arn
      )
    )])
    error_message = "A deploy role has four policies. Its boundary is a fifth one."
  }

  assert {
    condition = alltrue([for stage, role in aws_iam_role.plan : (
      role.permissions_boundary == "arn:aws:iam::123456789012:policy/of-the-plan-role"
      && aws_iam_role_policy_attachment.plan[stage].policy_arn == role.permissions_boundary
    )])
    error_message = "A plan role's boundary is its own policy."
  }

  assert {
    condition = alltrue([for stage, role in aws_iam_role.rollback : (
      role.permissions_boundary == "arn:aws:iam::123456789012:policy/of-the-rollback-role"
      && aws_iam_role_policy_attachment.rollback[stage].policy_arn == role.permissions_boundary
    )])
    error_message = "The boundary of a role for rollbacks is its own policy."
  }

  assert {
    condition     = aws_api_gateway_account.prod[0].cloudwatch_role_arn == aws_iam_role.gateway_log[0].arn
    error_message = "API Gateway uses the log role that this root creates."
  }
}
