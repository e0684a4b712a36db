# The firewall, if the stage has one. It checks addresses, headers and paths. It only counts its findings in a body and
# in a query: nobody runs a payload or a subject, and an audit trail may quote an attack word for word.
# A browser's preflight has no body. It matches no rule, but requests-per-address counts it.
# https://docs.aws.amazon.com/waf/latest/developerguide/aws-managed-rule-groups-baseline.html
locals {
  # Group => its rules that only count. SizeRestrictions_BODY would block bodies over 8 KB. NoUserAgent_HEADER would
  # block many HTTP libraries. The path rules would block event ids like nightly.log, prod.env or 169.254.169.254.
  # The query rules would block lists of such subjects and types, and of long subjects.
  managed_rules = {
    AWSManagedRulesCommonRuleSet = [
      "CrossSiteScripting_BODY",
      "CrossSiteScripting_QUERYARGUMENTS",
      "EC2MetaDataSSRF_BODY",
      "EC2MetaDataSSRF_QUERYARGUMENTS",
      "EC2MetaDataSSRF_URIPATH",
      "GenericLFI_BODY",
      "GenericLFI_QUERYARGUMENTS",
      "GenericRFI_BODY",
      "GenericRFI_QUERYARGUMENTS",
      "NoUserAgent_HEADER",
      "RestrictedExtensions_QUERYARGUMENTS",
      "RestrictedExtensions_URIPATH",
      "SizeRestrictions_BODY",
      "SizeRestrictions_QUERYSTRING",
    ]
    AWSManagedRulesKnownBadInputsRuleSet = [
      "ExploitablePaths_URIPATH",
      "JavaDeserializationRCE_BODY",
      "JavaDeserializationRCE_QUERYSTRING",
      "Log4JRCE_BODY",
      "Log4JRCE_QUERYSTRING",
      "ReactJSRCE_BODY",
    ]
    AWSManagedRulesAmazonIpReputationList = []
  }

  # A Content-Length over 1048576, the API's limit for a batch. A size constraint cannot check it: WAF sees only the first 16 KB
  # of a body, and on a header it compares the number of digits. The API itself refuses large bodies without the header.
  too_long = "^0*(104857[7-9]|10485[89][0-9]|1048[6-9][0-9]{2}|1049[0-9]{3}|10[5-9][0-9]{4}|1[1-9][0-9]{5}|[2-9][0-9]{6}|[1-9][0-9]{7,})$"
}

resource "aws_wafv2_web_acl" "this" {
  # checkov:skip=CKV_AWS_192:The Log4j rules are in a dynamic block, which checkov does not read.
  count = var.firewall == null ? 0 : 1

  name        = "event-api-${var.stage}"
  description = "Protects the Event API, ${var.stage}."
  scope       = "REGIONAL"

  default_action {
    allow {}
  }

  # The same response as the API's, with two differences: it has no request id, and WAF sets another Content-Type.
  custom_response_body {
    key          = "body-too-large"
    content_type = "APPLICATION_JSON"
    content = jsonencode({
      type   = "urn:event-api:problem:body-too-large"
      title  = "Content Too Large"
      status = 413
      detail = "The limit is 1048576 bytes: send fewer events at a time, or store large data elsewhere and post its address."
      limit  = 1048576
    })
  }

  rule {
    name     = "requests-per-address"
    priority = 0

    action {
      block {}
    }

    statement {
      rate_based_statement {
        limit                 = var.firewall.requests_per_address
        evaluation_window_sec = 300
        aggregate_key_type    = "IP"
      }
    }

    visibility_config {
      cloudwatch_metrics_enabled = true
      metric_name                = "requests-per-address"
      sampled_requests_enabled   = false # a sample would show the token in its header
    }
  }

  rule {
    name     = "body-too-large"
    priority = 1

    action {
      block {
        custom_response {
          response_code            = 413
          custom_response_body_key = "body-too-large"

          response_header {
            name  = "Cache-Control"
            value = "no-store"
          }

          # As cors.tf does for API Gateway's own errors.
          dynamic "response_header" {
            for_each = length(var.cors_origins) == 0 ? [] : ["*"]

            content {
              name  = "Access-Control-Allow-Origin"
              value = response_header.value
            }
          }
        }
      }
    }

    statement {
      regex_match_statement {
        regex_string = local.too_long

        field_to_match {
          single_header {
            name = "content-length"
          }
        }

        text_transformation {
          priority = 0
          type     = "NONE"
        }
      }
    }

    visibility_config {
      cloudwatch_metrics_enabled = true
      metric_name                = "body-too-large"
      sampled_requests_enabled   = false
    }
  }

  dynamic "rule" {
    for_each = local.managed_rules

    content {
      name     = rule.key
      priority = 2 + index(keys(local.managed_rules), rule.key)

      override_action {
        none {}
      }

      statement {
        managed_rule_group_statement {
          vendor_name = "AWS"
          name        = rule.key

          dynamic "rule_action_override" {
            for_each = rule.value

            content {
              name = rule_action_override.value

              action_to_use {
                count {}
              }
            }
          }
        }
      }

      visibility_config {
        cloudwatch_metrics_enabled = true
        metric_name                = rule.key
        sampled_requests_enabled   = false
      }
    }
  }

  visibility_config {
    cloudwatch_metrics_enabled = true
    metric_name                = "event-api-${var.stage}"
    sampled_requests_enabled   = false
  }
}

resource "aws_wafv2_web_acl_association" "this" {
  count = var.firewall == null ? 0 : 1

  resource_arn = aws_api_gateway_stage.this.arn
  web_acl_arn  = aws_wafv2_web_acl.this[0].arn
}

# Logs blocked requests, without tokens. It does not log counted requests, because a log could quote a payload.
resource "aws_wafv2_web_acl_logging_configuration" "this" {
  count = var.firewall == null ? 0 : 1

  resource_arn            = aws_wafv2_web_acl.this[0].arn
  log_destination_configs = [aws_cloudwatch_log_group.firewall[0].arn]

  dynamic "redacted_fields" {
    for_each = ["authorization", "cookie"]

    content {
      single_header {
        name = redacted_fields.value
      }
    }
  }

  redacted_fields {
    query_string {}
  }

  logging_filter {
    default_behavior = "DROP"

    filter {
      behavior    = "KEEP"
      requirement = "MEETS_ANY"

      condition {
        action_condition {
          action = "BLOCK"
        }
      }
    }
  }

  depends_on = [aws_cloudwatch_log_resource_policy.firewall]
}

resource "aws_cloudwatch_log_group" "firewall" {
  # checkov:skip=CKV_AWS_158:The stage decides about its own key; WAF redacts tokens.
  # checkov:skip=CKV_AWS_338:Each stage sets its retention: a year in prod, less elsewhere.
  count = var.firewall == null ? 0 : 1

  name              = "aws-waf-logs-event-api-${var.stage}" # WAF requires this prefix
  retention_in_days = var.log_retention_days
  kms_key_id        = one(aws_kms_key.this[*].arn)
}

# Without this policy, WAF would write one for every log group of the account.
resource "aws_cloudwatch_log_resource_policy" "firewall" {
  count = var.firewall == null ? 0 : 1

  policy_name     = "event-api-${var.stage}-firewall"
  policy_document = data.aws_iam_policy_document.firewall_log[0].json
}

data "aws_iam_policy_document" "firewall_log" {
  count = var.firewall == null ? 0 : 1

  statement {
    sid       = "Firewall"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.firewall[0].arn}:*"]

    principals {
      type        = "Service"
      identifiers = ["delivery.logs.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.this.account_id]
    }

    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = ["arn:${data.aws_partition.this.partition}:logs:${local.region_and_account}:*"]
    }
  }
}
