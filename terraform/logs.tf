resource "aws_cloudwatch_log_group" "api_handler" {
  # checkov:skip=CKV_AWS_158:The stage decides about its own key; the log contains ids, never payloads or tokens.
  # checkov:skip=CKV_AWS_338:Each stage sets its retention: a year in prod, less elsewhere.
  name              = "/aws/lambda/event-api-${var.stage}"
  retention_in_days = var.log_retention_days
  kms_key_id        = one(aws_kms_key.this[*].arn)
}

resource "aws_cloudwatch_log_group" "authorizer" {
  # checkov:skip=CKV_AWS_158:The stage decides about its own key; the log contains ids, never payloads or tokens.
  # checkov:skip=CKV_AWS_338:Each stage sets its retention: a year in prod, less elsewhere.
  name              = "/aws/lambda/event-api-${var.stage}-authorizer"
  retention_in_days = var.log_retention_days
  kms_key_id        = one(aws_kms_key.this[*].arn)
}

resource "aws_cloudwatch_log_group" "access" {
  # checkov:skip=CKV_AWS_158:The stage decides about its own key; the log contains ids, never payloads or tokens.
  # checkov:skip=CKV_AWS_338:Each stage sets its retention: a year in prod, less elsewhere.
  name              = "/aws/apigateway/event-api-${var.stage}"
  retention_in_days = var.log_retention_days
  kms_key_id        = one(aws_kms_key.this[*].arn)
}
