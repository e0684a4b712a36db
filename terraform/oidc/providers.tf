# In the region of prod: Terraform's state. What else is here has no region, but for gateway_log_role.tf.
provider "aws" {
  region = local.regions.prod

  default_tags {
    tags = { project = "event-api" }
  }
}

provider "aws" {
  alias  = "staging"
  region = local.regions.staging
}

provider "aws" {
  alias  = "dev"
  region = local.regions.dev
}

data "aws_caller_identity" "this" {}

data "aws_partition" "this" {}

locals {
  stages = toset(["dev", "staging", "prod"])

  # A stage's region stands in its tfvars alone.
  regions = { for stage in local.stages : stage => one(
    regex("(?m)^[ \\t]*region[ \\t]*=[ \\t]*\"([a-z0-9-]+)\"", file("${path.module}/../stages/${stage}.tfvars"))
  ) }

  account   = data.aws_caller_identity.this.account_id
  partition = data.aws_partition.this.partition
  iam       = "arn:${local.partition}:iam::${local.account}"
}
