locals {
  issuer   = "token.actions.githubusercontent.com"
  audience = "sts.amazonaws.com"

  # The start of the `sub` claim, with GitHub's numbers: https://docs.github.com/en/actions/reference/security/oidc
  # GitHub never uses a number again, so a later repository of the same name is another subject.
  repository = "repo:${var.github_owner}@${var.github_owner_id}/${var.github_repo}@${var.github_repo_id}"

  # Role's key => the part of `sub` after the repository. A job in an environment has the same subject on every branch.
  # The settings of the GitHub environment decide which branches may use it. No role trusts pull requests.
  contexts = merge(
    { for stage in local.stages : stage => "environment:${stage}" },
    { for stage in local.stages : "plan-${stage}" => "environment:${stage}-check" },
    { for stage in local.stages : "rollback-${stage}" => "environment:${stage}-check" },
  )
}

resource "aws_iam_openid_connect_provider" "github" {
  count = var.oidc_provider_exists ? 0 : 1

  url            = "https://${local.issuer}"
  client_id_list = [local.audience]
}

data "aws_iam_openid_connect_provider" "github" {
  count = var.oidc_provider_exists ? 1 : 0

  url = "https://${local.issuer}"

  lifecycle {
    postcondition {
      condition     = contains(self.client_id_list, local.audience)
      error_message = "GitHub's OIDC provider in this account refuses the audience ${local.audience}: add it there."
    }
  }
}

data "aws_iam_policy_document" "trust" {
  # checkov:skip=CKV_AWS_358:checkov cannot read computed subjects; the tests check each one.
  for_each = local.contexts

  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = ["${local.iam}:oidc-provider/${local.issuer}"]
    }

    condition {
      test     = "StringEquals"
      variable = "${local.issuer}:aud"
      values   = [local.audience]
    }

    condition {
      test     = "StringEquals"
      variable = "${local.issuer}:sub"
      values   = ["${local.repository}:${each.value}"]
    }
  }
}
