# A job that rolls a stage back takes this role, without an approval. It can read the releases, and move the aliases to
# versions that are already published. It can publish, change and delete nothing.
resource "aws_iam_role" "rollback" {
  for_each = local.stages

  name                 = "event-api-rollback-${each.key}"
  description          = "By which GitHub's environment ${each.key}-check rolls back the Event API."
  assume_role_policy   = data.aws_iam_policy_document.trust["rollback-${each.key}"].json
  permissions_boundary = aws_iam_policy.rollback[each.key].arn
}

resource "aws_iam_policy" "rollback" {
  for_each = local.stages

  name        = "event-api-rollback-${each.key}"
  description = "What rolling back the Event API's stage ${each.key} takes."
  policy      = data.aws_iam_policy_document.rollback[each.key].json
}

resource "aws_iam_role_policy_attachment" "rollback" {
  for_each = local.stages

  role       = aws_iam_role.rollback[each.key].name
  policy_arn = aws_iam_policy.rollback[each.key].arn
}

data "aws_iam_policy_document" "rollback" {
  for_each = local.names

  # The configuration of a version says which table it uses.
  source_policy_documents = [data.aws_iam_policy_document.environment[each.key].json]

  statement {
    sid = "Versions"
    actions = [
      "lambda:GetAlias",
      "lambda:GetFunctionConfiguration",
      "lambda:ListVersionsByFunction",
      "lambda:UpdateAlias",
    ]
    resources = flatten(values(each.value.function_arns))
  }

  statement {
    sid       = "Releases"
    actions   = ["codedeploy:GetDeployment", "codedeploy:ListDeployments"]
    resources = [each.value.release_groups]
  }
}
