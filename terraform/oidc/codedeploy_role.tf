# CodeDeploy shifts a stage's traffic with this role. A person creates it. The deploy role can only pass it to CodeDeploy.
resource "aws_iam_role" "codedeploy" {
  for_each = local.stages

  name               = "event-api-${each.key}-codedeploy"
  description        = "By which CodeDeploy shifts the traffic of the Event API, ${each.key}."
  assume_role_policy = data.aws_iam_policy_document.service_trust["codedeploy"].json
}

resource "aws_iam_role_policy" "codedeploy" {
  for_each = local.stages

  name   = "codedeploy"
  role   = aws_iam_role.codedeploy[each.key].name
  policy = data.aws_iam_policy_document.codedeploy[each.key].json
}

# A part of AWS's own policy AWSCodeDeployRoleForLambdaLimited: without hooks and files, and for the stage's functions only.
data "aws_iam_policy_document" "codedeploy" {
  # checkov:skip=CKV_AWS_356:The action that reads alarms supports no resource; the others name theirs.
  for_each = local.names

  statement {
    sid       = "Alias"
    actions   = ["lambda:GetAlias", "lambda:GetProvisionedConcurrencyConfig", "lambda:UpdateAlias"]
    resources = flatten(values(each.value.function_arns))
  }

  statement {
    sid       = "Alarms"
    actions   = ["cloudwatch:DescribeAlarms"]
    resources = ["*"]
  }
}
