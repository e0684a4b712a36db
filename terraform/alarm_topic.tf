# The topic that alarms publish to. A person confirms each e-mail address: AWS sends it a link first.
resource "aws_sns_topic" "alarms" {
  count = var.alarms == null ? 0 : 1

  name         = "event-api-${var.stage}-alarms"
  display_name = "Event API, ${var.stage}"
  # Alarms cannot publish to a topic that AWS's own key `alias/aws/sns` encrypts: nobody can change that key's policy. So
  # a stage without its own key uses the key that terraform/oidc creates for the alarms of all stages.
  # https://repost.aws/knowledge-center/cloudwatch-configure-alarm-sns
  kms_master_key_id = var.customer_key ? aws_kms_key.this[0].arn : "alias/event-api-alarms"
  policy            = data.aws_iam_policy_document.alarms[0].json
}

data "aws_iam_policy_document" "alarms" {
  count = var.alarms == null ? 0 : 1

  statement {
    sid       = "Alarms"
    actions   = ["sns:Publish"]
    resources = [local.alarm_topic]

    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }

    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = ["arn:${data.aws_partition.this.partition}:cloudwatch:${local.region_and_account}:alarm:event-api-${var.stage}-*"]
    }
  }
}

locals {
  alarm_topic = "arn:${data.aws_partition.this.partition}:sns:${local.region_and_account}:event-api-${var.stage}-alarms"
}

resource "aws_sns_topic_subscription" "alarms" {
  count = var.alarms == null || var.alarm_email == null ? 0 : 1

  topic_arn = aws_sns_topic.alarms[0].arn
  protocol  = "email"
  endpoint  = var.alarm_email
}
