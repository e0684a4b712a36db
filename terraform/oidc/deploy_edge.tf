data "aws_iam_policy_document" "deploy_edge" {
  # checkov:skip=CKV_AWS_109:Actions that create keys or deliver logs support no resource; the others name theirs.
  # checkov:skip=CKV_AWS_111:Actions that create keys or deliver logs support no resource; the others name theirs.
  # checkov:skip=CKV_AWS_356:Actions that create keys or deliver logs support no resource; the others name theirs.
  for_each = local.names

  statement {
    sid       = "ApiRead"
    actions   = ["apigateway:GET"]
    resources = [each.value.api, "${each.value.api}/*", each.value.api_tags]
  }

  statement {
    sid       = "ApiMake"
    actions   = ["apigateway:POST"]
    resources = [each.value.api]

    condition {
      test     = "StringEquals"
      variable = "aws:RequestTag/project"
      values   = ["event-api"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:RequestTag/stage"
      values   = [each.key]
    }
  }

  # For API Gateway, each part of an API has the API's tags:
  # https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-tagging-supported-resources.html
  statement {
    sid       = "ApiChange"
    actions   = ["apigateway:DELETE", "apigateway:PATCH", "apigateway:POST", "apigateway:PUT"]
    resources = ["${each.value.api}/*"]

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/project"
      values   = ["event-api"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/stage"
      values   = [each.key]
    }
  }

  # Creating a tagged API or stage needs this permission too. A new one has no tags yet. If one has tags already, they
  # must be this stage's, so the role cannot take over another stage's API.
  statement {
    sid       = "ApiTag"
    actions   = ["apigateway:PUT"]
    resources = [each.value.api_tags]

    dynamic "condition" {
      for_each = setproduct(["RequestTag", "ResourceTag"], [["project", "event-api"], ["stage", each.key]])

      content {
        test     = "StringEqualsIfExists"
        variable = "aws:${condition.value[0]}/${condition.value[1][0]}"
        values   = [condition.value[1][1]]
      }
    }
  }

  # To attach or detach the firewall, the role needs permissions on the firewall and on the stage.
  # https://docs.aws.amazon.com/waf/latest/developerguide/security_iam_service-with-iam.html
  statement {
    sid = "Firewall"
    actions = [
      "wafv2:AssociateWebACL",
      "wafv2:CreateWebACL",
      "wafv2:DeleteLoggingConfiguration",
      "wafv2:DeleteWebACL",
      "wafv2:GetLoggingConfiguration",
      "wafv2:GetWebACL",
      "wafv2:ListTagsForResource",
      "wafv2:PutLoggingConfiguration",
      "wafv2:TagResource",
      "wafv2:UntagResource",
      "wafv2:UpdateWebACL",
    ]
    resources = [each.value.firewall]
  }

  statement {
    sid       = "FirewallGroups" # AWS's own rule groups, which the firewall uses
    actions   = ["wafv2:CreateWebACL", "wafv2:UpdateWebACL"]
    resources = [each.value.firewall_groups]
  }

  # WAF does not send the tags of an API Gateway stage to IAM, so this statement cannot check them. API Gateway checks
  # them: it requires its own permission, below.
  statement {
    sid       = "FirewallOfAnyStage"
    actions   = ["wafv2:AssociateWebACL", "wafv2:DisassociateWebACL", "wafv2:GetWebACLForResource"]
    resources = ["${each.value.api}/*/stages/${each.key}"]
  }

  statement {
    sid       = "FirewallOfStage"
    actions   = ["apigateway:SetWebACL"]
    resources = ["${each.value.api}/*/stages/${each.key}"]

    dynamic "condition" {
      for_each = each.value.tags

      content {
        test     = "StringEquals"
        variable = condition.key
        values   = [condition.value]
      }
    }
  }

  # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/AWS-logs-and-resource-policy.html
  statement {
    sid = "FirewallLog"
    actions = [
      "logs:CreateLogDelivery",
      "logs:DeleteLogDelivery",
      "logs:DeleteResourcePolicy",
      "logs:DescribeResourcePolicies",
      "logs:PutResourcePolicy",
    ]
    resources = ["*"]
  }

  statement {
    sid       = "KeyMake"
    actions   = ["kms:CreateKey"]
    resources = ["*"]

    dynamic "condition" {
      for_each = { for name, tag in each.value.tags : replace(name, "Resource", "Request") => tag }

      content {
        test     = "StringEquals"
        variable = condition.key
        values   = [condition.value]
      }
    }
  }

  # Creating a tagged key needs this permission too. A new key has no tags and no alias yet. The role cannot tag a key
  # that has the tags of another stage, or another alias.
  statement {
    sid       = "KeyTag"
    actions   = ["kms:TagResource"]
    resources = [each.value.keys]

    dynamic "condition" {
      for_each = { for name, tag in each.value.tags : replace(name, "Resource", "Request") => tag }

      content {
        test     = "StringEquals"
        variable = condition.key
        values   = [condition.value]
      }
    }

    dynamic "condition" {
      for_each = each.value.tags

      content {
        test     = "StringEqualsIfExists"
        variable = condition.key
        values   = [condition.value]
      }
    }

    condition {
      test     = "ForAllValues:StringEquals"
      variable = "kms:ResourceAliases"
      values   = ["alias/event-api-${each.key}"]
    }
  }

  statement {
    sid = "Key"
    actions = [
      "kms:CreateAlias",
      "kms:DeleteAlias",
      "kms:DescribeKey",
      "kms:EnableKeyRotation",
      "kms:GetKeyPolicy",
      "kms:GetKeyRotationStatus",
      "kms:ListResourceTags",
      "kms:PutKeyPolicy",
      "kms:ScheduleKeyDeletion",
      "kms:UntagResource",
      "kms:UpdateAlias",
      "kms:UpdateKeyDescription",
    ]
    resources = [each.value.keys]

    dynamic "condition" {
      for_each = each.value.tags

      content {
        test     = "StringEquals"
        variable = condition.key
        values   = [condition.value]
      }
    }
  }

  # Only DynamoDB and Lambda may use the key for this role: DynamoDB to encrypt a table, Lambda to write and read the
  # environment of a function.
  statement {
    sid       = "KeyByServices"
    actions   = ["kms:CreateGrant", "kms:Decrypt", "kms:Encrypt"]
    resources = [each.value.keys]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = each.value.key_services
    }

    dynamic "condition" {
      for_each = each.value.tags

      content {
        test     = "StringEquals"
        variable = condition.key
        values   = [condition.value]
      }
    }
  }

  statement {
    sid       = "KeyAlias"
    actions   = ["kms:CreateAlias", "kms:DeleteAlias", "kms:UpdateAlias"]
    resources = [each.value.alias]
  }

  statement {
    sid       = "KeyList"
    actions   = ["kms:ListAliases"]
    resources = ["*"]
  }
}
