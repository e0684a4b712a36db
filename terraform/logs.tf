resource "aws_cloudwatch_log_group" "api_handler" {
  # checkov:skip=CKV_AWS_158:Encrypted with CloudWatch's own key; it holds ids, never payloads.
  # checkov:skip=CKV_AWS_338:How long is the stage's choice: a year in prod, less where nobody would read it.
  name              = "/aws/lambda/event-api-${var.stage}"
  retention_in_days = var.log_retention_days
}

resource "aws_cloudwatch_log_group" "access" {
  # checkov:skip=CKV_AWS_158:Encrypted with CloudWatch's own key; it holds ids, never payloads.
  # checkov:skip=CKV_AWS_338:How long is the stage's choice: a year in prod, less where nobody would read it.
  name              = "/aws/apigateway/event-api-${var.stage}"
  retention_in_days = var.log_retention_days
}
