# `make package` writes these resources and values into chalice.tf.json. The rest of this root uses them by these names.
# Without that file, Terraform prints these lines as errors, and so it prints the comments.
locals {
  api_handler = aws_lambda_function.api_handler     # not declared? Run `make package STAGE=dev` first.
  authorizer  = aws_lambda_function.authorizer      # not declared? Run `make package STAGE=dev` first.
  rest_api    = aws_api_gateway_rest_api.rest_api   # not declared? Run `make package STAGE=dev` first.
  deployment  = aws_api_gateway_deployment.rest_api # not declared? Run `make package STAGE=dev` first.
  description = local.chalice_api_swagger           # not declared? Run `make package STAGE=dev` first.
  for_stage   = local.packaged_stage                # not declared? Run `make package STAGE=dev` first.
}
