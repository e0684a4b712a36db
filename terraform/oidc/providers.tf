provider "aws" {
  region = var.region

  default_tags {
    tags = { project = "event-api" }
  }
}

data "aws_caller_identity" "this" {}

data "aws_partition" "this" {}

locals {
  stages    = toset(["dev", "staging", "prod"])
  account   = data.aws_caller_identity.this.account_id
  partition = data.aws_partition.this.partition

  iam      = "arn:${local.partition}:iam::${local.account}"
  regional = "${var.region}:${local.account}" # the middle of a regional ARN
}
