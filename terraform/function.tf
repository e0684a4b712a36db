# API Gateway calls these aliases, never the functions. Terraform publishes versions, and points a new alias to the first
# one. After that, CodeDeploy moves the alias (release.tf), and a rollback moves it back.
resource "aws_lambda_alias" "live" {
  name             = "live"
  description      = "The version that API Gateway calls."
  function_name    = local.api_handler.function_name
  function_version = local.api_handler.version

  lifecycle {
    ignore_changes = [function_version, routing_config]
  }
}

resource "aws_lambda_alias" "authorizer" {
  name             = "live"
  description      = "The version of the authorizer that API Gateway calls."
  function_name    = local.authorizer.function_name
  function_version = local.authorizer.version

  lifecycle {
    ignore_changes = [function_version, routing_config]
  }
}

# A person creates these roles in oidc/, so that a deployment cannot change them.
locals {
  function_roles = { for name in ["api_handler", "authorizer"] : name => "${local.iam}:role/event-api-${var.stage}-${name}" }
}
