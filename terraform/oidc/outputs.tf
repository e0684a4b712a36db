output "state_bucket" {
  description = "Bucket of all stages' state, for terraform init -backend-config=bucket=<this>."
  value       = aws_s3_bucket.state.id
}

output "regions" {
  description = "Region of each stage, from its tfvars file. The state bucket is in the region of prod."
  value       = local.regions
}

output "deploy_role_arns" {
  description = "ARN of each stage's deploy role."
  value       = { for stage, role in aws_iam_role.deploy : stage => role.arn }
}

output "plan_role_arns" {
  description = "ARN of each stage's plan role, which can only read."
  value       = { for stage, role in aws_iam_role.plan : stage => role.arn }
}

output "rollback_role_arns" {
  description = "ARN of each stage's role for rollbacks."
  value       = { for stage, role in aws_iam_role.rollback : stage => role.arn }
}
