output "api_url" {
  description = "Base URL of the API, without a final slash: <api_url>/events. It ends in the stage's name."
  value       = aws_api_gateway_stage.this.invoke_url
}

output "table_name" {
  description = "Name of the DynamoDB table of events that the API uses."
  value       = local.events_table.name
}

output "token_table_name" {
  description = "Name of the DynamoDB table of tokens."
  value       = aws_dynamodb_table.tokens.name
}
