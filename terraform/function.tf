# The gateway calls these aliases, never the functions themselves: a deployment publishes a version and moves the alias
# to it, and a rollback moves it back.
resource "aws_lambda_alias" "live" {
  name             = "live"
  description      = "The version that the gateway calls."
  function_name    = aws_lambda_function.api_handler.function_name
  function_version = aws_lambda_function.api_handler.version

  # No call comes before the function may answer it and log it.
  depends_on = [aws_iam_role_policy.api_handler]
}

resource "aws_lambda_alias" "authorizer" {
  name             = "live"
  description      = "The version that the gateway asks who calls."
  function_name    = aws_lambda_function.authorizer.function_name
  function_version = aws_lambda_function.authorizer.version

  # As above.
  depends_on = [aws_iam_role_policy.authorizer]
}
