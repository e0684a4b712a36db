# The key of the alarms' topics, for stages without a key of their own. Alarms cannot publish to a topic that AWS's key
# `alias/aws/sns` encrypts, because nobody can change that key's policy. There is one key in each region: it costs a dollar
# per month. https://repost.aws/knowledge-center/cloudwatch-configure-alarm-sns
locals {
  alarm_key_stages = {
    prod    = true
    staging = local.regions.staging != local.regions.prod
    dev     = !contains([local.regions.prod, local.regions.staging], local.regions.dev)
  }
}

resource "aws_kms_key" "alarms_prod" {
  description         = "Alarms of the Event API."
  enable_key_rotation = true
  policy              = data.aws_iam_policy_document.alarm_key.json
}

resource "aws_kms_alias" "alarms_prod" {
  name          = "alias/event-api-alarms"
  target_key_id = aws_kms_key.alarms_prod.key_id
}

resource "aws_kms_key" "alarms_staging" {
  count    = local.alarm_key_stages.staging ? 1 : 0
  provider = aws.staging

  description         = "Alarms of the Event API."
  enable_key_rotation = true
  policy              = data.aws_iam_policy_document.alarm_key.json
}

resource "aws_kms_alias" "alarms_staging" {
  count    = local.alarm_key_stages.staging ? 1 : 0
  provider = aws.staging

  name          = "alias/event-api-alarms"
  target_key_id = aws_kms_key.alarms_staging[0].key_id
}

resource "aws_kms_key" "alarms_dev" {
  count    = local.alarm_key_stages.dev ? 1 : 0
  provider = aws.dev

  description         = "Alarms of the Event API."
  enable_key_rotation = true
  policy              = data.aws_iam_policy_document.alarm_key.json
}

resource "aws_kms_alias" "alarms_dev" {
  count    = local.alarm_key_stages.dev ? 1 : 0
  provider = aws.dev

  name          = "alias/event-api-alarms"
  target_key_id = aws_kms_key.alarms_dev[0].key_id
}

data "aws_iam_policy_document" "alarm_key" {
  # checkov:skip=CKV_AWS_109:The resource of a key's policy is the key; IAM decides who may administer it.
  # checkov:skip=CKV_AWS_111:The resource of a key's policy is the key.
  # checkov:skip=CKV_AWS_356:The resource of a key's policy is the key.
  statement {
    sid       = "Account" # IAM decides who in this account may use the key
    actions   = ["kms:*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["${local.iam}:root"]
    }
  }

  # SNS names the topic in each use of the key.
  # https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
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
      values   = [for names in local.names : names.topic]
    }
  }
}
