# Terraform's state is in the region of prod. The other resources have no region, except those in gateway_log_role.tf.
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

  # Only a stage's tfvars file has its region. A file with two such lines stops the plan: one of them may be in a comment.
  regions = { for stage in local.stages : stage => one(one(
    regexall("(?m)^[ \\t]*region[ \\t]*=[ \\t]*\"([a-z0-9-]+)\"", file("${path.module}/../stages/${stage}.tfvars"))
  )) }

  # The stages whose tables, logs and key only a person may change. A deployment cannot end this: a push changes the tfvars
  # file, but only a person's apply of this root changes a boundary.
  protected = toset([for stage in local.stages : stage if one(one(
    regexall("(?m)^[ \\t]*protected[ \\t]*=[ \\t]*\"?(true|false)\"?", file("${path.module}/../stages/${stage}.tfvars"))
  )) == "true"])

  account   = data.aws_caller_identity.this.account_id
  partition = data.aws_partition.this.partition
  iam       = "arn:${local.partition}:iam::${local.account}"
}
