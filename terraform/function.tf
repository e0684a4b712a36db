# API Gateway calls these aliases, never the functions. A deployment publishes a version and moves the alias to it; a
# rollback moves it back.
resource "aws_lambda_alias" "live" {
  name             = "live"
  description      = "The version that API Gateway calls."
  function_name    = local.api_handler.function_name
  function_version = local.api_handler.version

  # The function must have its permissions before API Gateway calls it.
  depends_on = [aws_iam_role_policy.api_handler]
}

resource "aws_lambda_alias" "authorizer" {
  name             = "live"
  description      = "The version of the authorizer that API Gateway calls."
  function_name    = local.authorizer.function_name
  function_version = local.authorizer.version

  # The authorizer must have its permissions before API Gateway calls it.
  depends_on = [aws_iam_role_policy.authorizer]
}
