mock_provider "aws" {
  source = "./tests/mocks"
}

override_resource {
  target = aws_cloudwatch_log_group.firewall
  values = { arn = "arn:aws:logs:ap-southeast-1:123456789012:log-group:the-firewalls" }
}

variables {
  firewall     = { requests_per_address = 1234 }
  customer_key = false
}

run "a_stage_without_a_firewall_has_nothing_of_it" {
  variables {
    firewall = null
  }

  assert {
    condition = sum([for made in [
      aws_wafv2_web_acl.this,
      aws_wafv2_web_acl_association.this,
      aws_wafv2_web_acl_logging_configuration.this,
      aws_cloudwatch_log_group.firewall,
      aws_cloudwatch_log_resource_policy.firewall,
    ] : length(made)]) == 0
    error_message = "Without a firewall there is no ACL, no log and no policy."
  }
}

run "the_firewall_before_the_stage_its_rules_and_its_log" {
  command = plan # an apply of a firewall takes seconds

  # The firewall allows a request that no rule blocks.

  assert {
    condition = (
      aws_wafv2_web_acl.this[0].name == "event-api-${var.stage}" && aws_wafv2_web_acl.this[0].scope == "REGIONAL"
    )
    error_message = "The deploy role has permissions only on a firewall with this name."
  }

  assert {
    condition = (
      length(one(aws_wafv2_web_acl.this[0].default_action).allow) == 1
      && length(one(aws_wafv2_web_acl.this[0].default_action).block) == 0
    )
    error_message = "The firewall allows a request that no rule blocks."
  }

  assert {
    condition = alltrue(concat(
      [for rule in aws_wafv2_web_acl.this[0].rule : !one(rule.visibility_config).sampled_requests_enabled],
      [!one(aws_wafv2_web_acl.this[0].visibility_config).sampled_requests_enabled],
    ))
    error_message = "WAF keeps no sample of a request, because a sample would show the token."
  }

  assert {
    condition = (
      length(distinct([for rule in aws_wafv2_web_acl.this[0].rule : rule.priority])) == 5
      && length(aws_wafv2_web_acl.this[0].rule) == 5
    )
    error_message = "There are two own rules and three of AWS's groups. Each has another priority."
  }

  # AWS's groups block by address, and only count findings that a valid event may cause.

  assert {
    condition = jsonencode({
      for rule in aws_wafv2_web_acl.this[0].rule :
      one(one(rule.statement).managed_rule_group_statement).name => [
        one(one(rule.statement).managed_rule_group_statement).vendor_name,
        sort([
          for override in one(one(rule.statement).managed_rule_group_statement).rule_action_override :
          override.name if length(one(override.action_to_use).count) == 1
        ]),
        length(one(one(rule.statement).managed_rule_group_statement).rule_action_override),
        length(one(rule.override_action).none),
      ] if length(one(rule.statement).managed_rule_group_statement) == 1
      }) == jsonencode({
      AWSManagedRulesAmazonIpReputationList = ["AWS", [], 0, 1]
      AWSManagedRulesCommonRuleSet = [
        "AWS",
        [
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
        ],
        14,
        1,
      ]
      AWSManagedRulesKnownBadInputsRuleSet = [
        "AWS",
        [
          "ExploitablePaths_URIPATH",
          "JavaDeserializationRCE_BODY",
          "JavaDeserializationRCE_QUERYSTRING",
          "Log4JRCE_BODY",
          "Log4JRCE_QUERYSTRING",
          "ReactJSRCE_BODY",
        ],
        6,
        1,
      ]
    })
    error_message = "These rules of AWS's three groups only count. All their other rules block."
  }

  # The limit of requests of one address in five minutes.

  assert {
    condition = jsonencode([
      for rule in aws_wafv2_web_acl.this[0].rule : [
        one(one(rule.statement).rate_based_statement).limit,
        one(one(rule.statement).rate_based_statement).evaluation_window_sec,
        one(one(rule.statement).rate_based_statement).aggregate_key_type,
        length(one(rule.action).block),
      ] if length(one(rule.statement).rate_based_statement) == 1
    ]) == jsonencode([[1234, 300, "IP", 1]])
    error_message = "The variable firewall sets how many requests one address may send."
  }

  # A Content-Length over the limit gets 413. tests/test_terraform.py tests the expression and the response.

  assert {
    condition = jsonencode([
      for rule in aws_wafv2_web_acl.this[0].rule : [
        one(one(one(rule.statement).regex_match_statement).field_to_match).single_header[0].name,
        one(one(one(rule.statement).regex_match_statement).text_transformation).type,
        one(one(one(rule.action).block).custom_response).response_code,
        one(one(one(rule.action).block).custom_response).custom_response_body_key,
      ] if length(one(rule.statement).regex_match_statement) == 1
    ]) == jsonencode([["content-length", "NONE", 413, one(aws_wafv2_web_acl.this[0].custom_response_body).key]])
    error_message = "The rule reads the Content-Length unchanged, and responds with 413 as the API does."
  }

  assert {
    condition = jsonencode(flatten([
      for rule in aws_wafv2_web_acl.this[0].rule : [
        for header in one(one(one(rule.action).block).custom_response).response_header : header.name
      ] if length(one(rule.statement).regex_match_statement) == 1
    ])) == jsonencode(["Cache-Control"])
    error_message = "Without origins, the firewall's response has no CORS header."
  }

  # The log has blocked requests, and no tokens.

  assert {
    condition = (
      aws_cloudwatch_log_group.firewall[0].name == "aws-waf-logs-event-api-${var.stage}"
      && aws_cloudwatch_log_group.firewall[0].retention_in_days == var.log_retention_days
    )
    error_message = "The log group has the prefix that WAF requires, and the stage's retention."
  }

  assert {
    condition     = aws_cloudwatch_log_group.firewall[0].kms_key_id == null
    error_message = "If the stage has no key, AWS's own key encrypts the log."
  }

  assert {
    condition = sort(flatten([
      for field in aws_wafv2_web_acl_logging_configuration.this[0].redacted_fields : concat(
        [for header in field.single_header : header.name],
        [for query in field.query_string : "a query"],
      )
    ])) == tolist(["a query", "authorization", "cookie"])
    error_message = "WAF redacts tokens, cookies and queries in its log."
  }

  assert {
    condition = jsonencode([
      for filter in aws_wafv2_web_acl_logging_configuration.this[0].logging_filter : [
        filter.default_behavior, [
          for kept in filter.filter : [
            kept.behavior, [for condition in kept.condition : one(condition.action_condition).action],
          ]
        ]
      ]
    ]) == jsonencode([["DROP", [["KEEP", ["BLOCK"]]]]])
    error_message = "WAF logs only blocked requests, because the log of a counted request could quote a payload."
  }
}

run "only_aws_writes_the_firewalls_log" {
  plan_options {
    target = [aws_cloudwatch_log_resource_policy.firewall]
  }

  # Only the service that delivers logs may write to this group, and only for this account.

  assert {
    condition = jsonencode([for s in data.aws_iam_policy_document.firewall_log[0].statement : [
      coalesce(s.effect, "Allow"),
      sort(s.actions),
      s.resources,
      [for p in s.principals : [p.type, p.identifiers]],
      { for c in s.condition : c.variable => [c.test, c.values] },
      ]]) == jsonencode([[
      "Allow",
      ["logs:CreateLogStream", "logs:PutLogEvents"],
      ["arn:aws:logs:ap-southeast-1:123456789012:log-group:the-firewalls:*"],
      [["Service", ["delivery.logs.amazonaws.com"]]],
      {
        "aws:SourceAccount" = ["StringEquals", ["123456789012"]]
        "aws:SourceArn"     = ["ArnLike", ["arn:aws:logs:ap-southeast-1:123456789012:*"]]
      },
    ]])
    error_message = "No other service or account may write to the log group."
  }
}
