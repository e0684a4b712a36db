# API Gateway writes logs with one role per account and region. Without this role, a stage cannot have an access log.
# Stages in one region share the role.
locals {
  log_regions = setsubtract(values(local.regions), var.gateway_log_role_exists_in)
}

resource "aws_api_gateway_account" "prod" {
  count = contains(local.log_regions, local.regions.prod) ? 1 : 0

  cloudwatch_role_arn = aws_iam_role.gateway_log[0].arn

  depends_on = [aws_iam_role_policy_attachment.gateway_log]
}

resource "aws_api_gateway_account" "staging" {
  count    = contains(setsubtract(local.log_regions, [local.regions.prod]), local.regions.staging) ? 1 : 0
  provider = aws.staging

  cloudwatch_role_arn = aws_iam_role.gateway_log[0].arn

  depends_on = [aws_iam_role_policy_attachment.gateway_log]
}

resource "aws_api_gateway_account" "dev" {
  count = (
    contains(setsubtract(local.log_regions, [local.regions.prod, local.regions.staging]), local.regions.dev) ? 1 : 0
  )
  provider = aws.dev

  cloudwatch_role_arn = aws_iam_role.gateway_log[0].arn

  depends_on = [aws_iam_role_policy_attachment.gateway_log]
}

resource "aws_iam_role" "gateway_log" {
  count = length(local.log_regions) > 0 ? 1 : 0

  name               = "event-api-gateway-log"
  description        = "By which API Gateway writes the logs of this account's stages."
  assume_role_policy = data.aws_iam_policy_document.service_trust["apigateway"].json
}

# The policy is AWS's own. The role serves all APIs of the account, and AWS refuses a role with fewer permissions.
resource "aws_iam_role_policy_attachment" "gateway_log" {
  count = length(local.log_regions) > 0 ? 1 : 0

  role       = aws_iam_role.gateway_log[0].name
  policy_arn = "arn:${local.partition}:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"
}
