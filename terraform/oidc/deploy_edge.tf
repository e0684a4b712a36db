data "aws_iam_policy_document" "deploy_edge" {
  # checkov:skip=CKV_AWS_109:Actions that list aliases and log policies support no resource; the others name theirs.
  # checkov:skip=CKV_AWS_111:Actions that list aliases and log policies support no resource; the others name theirs.
  # checkov:skip=CKV_AWS_356:Actions that list aliases and log policies support no resource; the others name theirs.
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
      variable = "aws:RequestTag/${each.value.api_tag_key}"
      values   = ["owner"]
    }
  }

  # Only the tag key `event-api-<stage>` decides whose API it is: every stage can set `project` and `stage`. For API
  # Gateway, each part of an API also has the API's tags:
  # https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-tagging-supported-resources.html
  statement {
    sid       = "ApiChange"
    actions   = ["apigateway:DELETE", "apigateway:PATCH", "apigateway:POST", "apigateway:PUT"]
    resources = ["${each.value.api}/*"]

    dynamic "condition" {
      for_each = each.value.own_api

      content {
        test     = "StringEquals"
        variable = condition.key
        values   = [condition.value]
      }
    }
  }

  # Creating a tagged API or stage needs this permission too. AWS does not tell IAM which tags the API already has, so
  # the role can add its own tag to any API. It cannot remove a tag, and the boundary keeps it from an API that has another
  # stage's tag. https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonapigatewaymanagement.html
  statement {
    sid       = "ApiTag"
    actions   = ["apigateway:PUT"]
    resources = [each.value.api_tags]

    condition {
      test     = "ForAllValues:StringEquals"
      variable = "aws:TagKeys"
      values   = ["project", "stage", each.value.api_tag_key]
    }

    dynamic "condition" {
      for_each = { project = "event-api", stage = each.key, (each.value.api_tag_key) = "owner" }

      content {
        test     = "StringEqualsIfExists"
        variable = "aws:RequestTag/${condition.key}"
        values   = [condition.value]
      }
    }
  }

  # To attach or detach the firewall, the role needs permissions on the firewall and on the stage.
  # https://docs.aws.amazon.com/waf/latest/developerguide/security_iam_service-with-iam.html
  statement {
    sid = "Firewall"
    actions = [
      "wafv2:AssociateWebACL",
      "wafv2:GetLoggingConfiguration",
      "wafv2:GetWebACL",
      "wafv2:ListTagsForResource",
      "wafv2:TagResource",
      "wafv2:UntagResource",
      "wafv2:UpdateWebACL",
    ]
    resources = [each.value.firewall]
  }

  statement {
    sid       = "FirewallGroups" # AWS's own rule groups, which the firewall uses
    actions   = ["wafv2:UpdateWebACL"]
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
      for_each = each.value.own_api

      content {
        test     = "StringEquals"
        variable = condition.key
        values   = [condition.value]
      }
    }
  }

  # A person creates and removes the firewall and its log: AWS cannot limit the permissions for log delivery to one stage.
  # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/AWS-logs-and-resource-policy.html
  statement {
    sid       = "FirewallLog"
    actions   = ["logs:DescribeResourcePolicies"]
    resources = ["*"]
  }

  # A person creates and changes the stage's key. AWS cannot tell a new key from another project's key without tags, so
  # a role that may tag a new key could also claim such a key.
  statement {
    sid       = "Key"
    actions   = ["kms:DescribeKey", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListResourceTags"]
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
      values   = values(each.value.key_services)
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
    sid       = "KeyList"
    actions   = ["kms:ListAliases"]
    resources = ["*"]
  }
}
