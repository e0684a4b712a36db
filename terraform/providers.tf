provider "aws" {
  region = var.region

  default_tags {
    # The deploy role may change an API only by these two tags: API Gateway's ids can't be known beforehand.
    tags = {
      project = "event-api"
      stage   = var.stage
    }
  }
}

data "aws_caller_identity" "this" {}

data "aws_partition" "this" {}
