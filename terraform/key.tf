# The stage's own key, if it has one. Only a person may create or change it: the deploy role cannot. If the key is deleted, nobody can read the data that it encrypted.
resource "aws_kms_key" "this" {
  count = var.customer_key ? 1 : 0

  description             = "Tables, logs and environment of the Event API, ${var.stage}."
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = data.aws_iam_policy_document.key.json
}

resource "aws_kms_alias" "this" {
  count = var.customer_key ? 1 : 0

  name          = "alias/event-api-${var.stage}"
  target_key_id = aws_kms_key.this[0].key_id
}

locals {
  iam                = "arn:${data.aws_partition.this.partition}:iam::${data.aws_caller_identity.this.account_id}"
  region_and_account = "${var.region}:${data.aws_caller_identity.this.account_id}"

  # Names instead of references: these resources use the key, so they cannot exist before it.
  table_names = [
    for kind in ["events", "events-restored", "tokens", "tokens-restored"] : "event-api-${var.stage}-${kind}"
  ]
  log_groups = [for name in [
    "/aws/lambda/event-api-${var.stage}",
    "/aws/lambda/event-api-${var.stage}-authorizer",
    "/aws/apigateway/event-api-${var.stage}",
    "aws-waf-logs-event-api-${var.stage}",
  ] : "arn:${data.aws_partition.this.partition}:logs:${local.region_and_account}:log-group:${name}"]
  function_arns = [for name in ["event-api-${var.stage}", "event-api-${var.stage}-authorizer"] :
    "arn:${data.aws_partition.this.partition}:lambda:${local.region_and_account}:function:${name}"
  ]
}

data "aws_iam_policy_document" "key" {
  # checkov:skip=CKV_AWS_109:The resource of a key's policy is the key; IAM decides who may administer it.
  # checkov:skip=CKV_AWS_111:The resource of a key's policy is the key.
  # checkov:skip=CKV_AWS_356:The resource of a key's policy is the key.
  # checkov:skip=CKV_AWS_283:Callers can use the key only through DynamoDB and only in this account.

  # Allows the account to administer the key, if IAM allows it too. It does not allow use of the key.
  statement {
    sid = "Administration"
    actions = [
      "kms:CancelKeyDeletion",
      "kms:CreateAlias",
      "kms:DeleteAlias",
      "kms:DescribeKey",
      "kms:DisableKey",
      "kms:EnableKey",
      "kms:EnableKeyRotation",
      "kms:GetKeyPolicy",
      "kms:GetKeyRotationStatus",
      "kms:ListGrants",
      "kms:ListKeyPolicies",
      "kms:ListResourceTags",
      "kms:PutKeyPolicy",
      "kms:RevokeGrant",
      "kms:ScheduleKeyDeletion",
      "kms:TagResource",
      "kms:UntagResource",
      "kms:UpdateAlias",
      "kms:UpdateKeyDescription",
    ]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["${local.iam}:root"]
    }
  }

  # A caller's permissions on a table decide who can read it. DynamoDB uses the key for these tables only: the two
  # tables, and the two names that a restore uses.
  statement {
    sid       = "Tables"
    actions   = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["*"]
    }

    dynamic "condition" {
      for_each = {
        "kms:CallerAccount"                            = [data.aws_caller_identity.this.account_id]
        "kms:ViaService"                               = ["dynamodb.${var.region}.amazonaws.com"]
        "kms:EncryptionContext:aws:dynamodb:tableName" = local.table_names
      }

      content {
        test     = "StringEquals"
        variable = condition.key
        values   = condition.value
      }
    }
  }

  # DynamoDB describes the key before it uses it. That call has no encryption context.
  statement {
    sid       = "TablesLook"
    actions   = ["kms:DescribeKey"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["*"]
    }

    dynamic "condition" {
      for_each = {
        "kms:CallerAccount" = [data.aws_caller_identity.this.account_id]
        "kms:ViaService"    = ["dynamodb.${var.region}.amazonaws.com"]
      }

      content {
        test     = "StringEquals"
        variable = condition.key
        values   = condition.value
      }
    }
  }

  # DynamoDB uses grants for backups and other work without a caller. Lambda uses one to decrypt a function's
  # environment. The principal that assigns the key to a table or function creates the grant.
  statement {
    sid       = "Grants"
    actions   = ["kms:CreateGrant"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["${local.iam}:root"]
    }

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = [for service in ["dynamodb", "lambda"] : "${service}.${var.region}.amazonaws.com"]
    }

    condition {
      test     = "Bool"
      variable = "kms:GrantIsForAWSResource"
      values   = ["true"]
    }
  }

  statement {
    sid       = "Logs"
    actions   = ["kms:Decrypt*", "kms:Describe*", "kms:Encrypt*", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["logs.${var.region}.amazonaws.com"]
    }

    condition {
      test     = "ArnEquals"
      variable = "kms:EncryptionContext:aws:logs:arn"
      values   = local.log_groups
    }
  }

  # SNS names the topic in each use of the key. https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
  statement {
    sid       = "Alarms"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey*"]
    resources = ["*"]

    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "kms:EncryptionContext:aws:sns:topicArn"
      values   = [local.alarm_topic]
    }
  }

  # Lambda encrypts a function's environment with the permissions of the principal that sets it. Lambda decrypts it with
  # the function's role.
  statement {
    sid       = "Environment"
    actions   = ["kms:Decrypt", "kms:Encrypt"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["${local.iam}:root"]
    }

    condition {
      test     = "StringEquals"
      variable = "kms:EncryptionContext:aws:lambda:FunctionArn"
      values   = local.function_arns
    }
  }
}
