# What a release takes: CodeDeploy's application and groups, and deployments to them.
resource "aws_iam_policy" "deploy_release" {
  for_each = local.stages

  name        = "event-api-deploy-release-${each.key}"
  description = "What deploying the Event API's stage ${each.key} takes: releases."
  policy      = data.aws_iam_policy_document.deploy_release[each.key].json
}

resource "aws_iam_role_policy_attachment" "deploy_release" {
  for_each = local.stages

  role       = aws_iam_role.deploy[each.key].name
  policy_arn = aws_iam_policy.deploy_release[each.key].arn
}

# The role cannot stop a deployment: AWS cannot limit this permission to the stage's own deployments.
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_awscodedeploy.html
data "aws_iam_policy_document" "deploy_release" {
  for_each = local.names

  statement {
    sid = "Application"
    actions = [
      "codedeploy:CreateApplication",
      "codedeploy:DeleteApplication",
      "codedeploy:GetApplication",
      "codedeploy:GetApplicationRevision",
      "codedeploy:RegisterApplicationRevision",
    ]
    resources = [each.value.release_app]
  }

  statement {
    sid = "Groups"
    actions = [
      "codedeploy:CreateDeployment",
      "codedeploy:CreateDeploymentGroup",
      "codedeploy:DeleteDeploymentGroup",
      "codedeploy:GetDeployment",
      "codedeploy:GetDeploymentGroup",
      "codedeploy:ListDeployments",
      "codedeploy:UpdateDeploymentGroup",
    ]
    resources = [each.value.release_groups]
  }

  statement {
    sid       = "ReleaseTags"
    actions   = ["codedeploy:ListTagsForResource", "codedeploy:TagResource", "codedeploy:UntagResource"]
    resources = [each.value.release_app, each.value.release_groups]
  }

  statement {
    sid       = "ReleaseConfigs"
    actions   = ["codedeploy:GetDeploymentConfig"]
    resources = [each.value.release_configs]
  }

  statement {
    sid       = "RoleToCodeDeploy"
    actions   = ["iam:PassRole"]
    resources = [each.value.release_role]

    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["codedeploy.amazonaws.com"]
    }
  }
}
