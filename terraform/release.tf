# CodeDeploy moves the aliases `live` to the newest versions (`make shift`), and back if an alarm fires. Each function
# has a deployment group with the function's name.
# https://docs.aws.amazon.com/codedeploy/latest/userguide/deployment-steps-lambda.html
resource "aws_codedeploy_app" "this" {
  name             = "event-api-${var.stage}"
  compute_platform = "Lambda"
}

resource "aws_codedeploy_deployment_group" "this" {
  for_each = { api_handler = aws_lambda_alias.live.function_name, authorizer = aws_lambda_alias.authorizer.function_name }

  app_name               = aws_codedeploy_app.this.name
  deployment_group_name  = each.value
  deployment_config_name = "CodeDeployDefault.${var.traffic_shift}"
  service_role_arn       = "${local.iam}:role/event-api-${var.stage}-codedeploy" # a person creates it in oidc/

  deployment_style {
    deployment_type   = "BLUE_GREEN" # the only type for Lambda
    deployment_option = "WITH_TRAFFIC_CONTROL"
  }

  auto_rollback_configuration {
    enabled = true
    events  = ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_STOP_ON_REQUEST"]
  }

  alarm_configuration {
    enabled = length(local.release_alarms) > 0
    alarms  = local.release_alarms
  }

  depends_on = [aws_cloudwatch_metric_alarm.this] # CodeDeploy polls the alarms by name
}
