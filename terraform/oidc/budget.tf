# AWS sends a message when the month's costs reach 80 % of `monthly_budget_usd`, and when they will probably exceed 100 %.
# A budget belongs to the account, so a person creates it here. A deployment has no permission for it.
resource "aws_budgets_budget" "this" {
  count = var.monthly_budget_usd == null ? 0 : 1

  name         = "event-api"
  budget_type  = "COST"
  time_unit    = "MONTHLY"
  limit_amount = var.monthly_budget_usd
  limit_unit   = "USD"

  # Without the tag, the budget counts these services in the whole account, also the costs of other projects.
  cost_filter {
    name   = var.budget_by_tag ? "TagKeyValue" : "Service"
    values = var.budget_by_tag ? ["user:project$event-api"] : local.budget_services
  }

  dynamic "notification" {
    for_each = { ACTUAL = 80, FORECASTED = 100 }

    content {
      notification_type          = notification.key
      comparison_operator        = "GREATER_THAN"
      threshold                  = notification.value
      threshold_type             = "PERCENTAGE"
      subscriber_email_addresses = [var.budget_email]
    }
  }
}

locals {
  # The names of the services on AWS's bills.
  budget_services = [
    "AWS Backup",
    "AWS Key Management Service",
    "AWS Lambda",
    "AWS WAF",
    "AWS X-Ray",
    "Amazon API Gateway",
    "Amazon DynamoDB",
    "Amazon Simple Notification Service",
    "Amazon Simple Storage Service",
    "AmazonCloudWatch",
  ]
}
