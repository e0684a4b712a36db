output "state_bucket" {
  description = "Bucket of the stages' state: terraform init -backend-config=bucket=<this>."
  value       = aws_s3_bucket.state.id
}

output "regions" {
  description = "Region of each stage, as its tfvars says. The state bucket is in that of prod."
  value       = local.regions
}

output "deploy_role_arns" {
  description = "Deploy role of each stage."
  value       = { for stage, role in aws_iam_role.deploy : stage => role.arn }
}

output "plan_role_arn" {
  description = "Role by which pull requests plan."
  value       = aws_iam_role.plan.arn
}
