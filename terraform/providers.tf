provider "aws" {
  region = var.region

  default_tags {
    # The deploy role may change only APIs with these two tags, because AWS chooses the ids of APIs.
    tags = {
      project = "event-api"
      stage   = var.stage
    }
  }
}

data "aws_caller_identity" "this" {}

data "aws_partition" "this" {}
