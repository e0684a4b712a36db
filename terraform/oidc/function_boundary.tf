# The most that a role which a stage's deploy role makes can ever do, whatever its policies say.
resource "aws_iam_policy" "function_boundary" {
  for_each = local.stages

  name        = "event-api-function-boundary-${each.key}"
  description = "The most that a role of the Event API's stage ${each.key} can do."
  policy      = data.aws_iam_policy_document.function_boundary[each.key].json
}

data "aws_iam_policy_document" "function_boundary" {
  # checkov:skip=CKV_AWS_111:X-Ray's two actions know no resource; all others name theirs.
  # checkov:skip=CKV_AWS_356:X-Ray's two actions know no resource; all others name theirs.
  for_each = local.names

  statement {
    sid       = "Events"
    actions   = ["dynamodb:GetItem", "dynamodb:PutItem"]
    resources = [each.value.table]
  }

  statement {
    sid       = "Log"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${each.value.function_log}:*"]
  }

  statement {
    sid       = "Trace"
    actions   = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]
    resources = ["*"]
  }
}
