provider "aws" {
  region = var.region

  default_tags {
    # The deploy role may change only APIs with these two tags. Their ids are not known in advance.
    tags = {
      project = "event-api"
      stage   = var.stage
    }
  }
}

data "aws_caller_identity" "this" {}

data "aws_partition" "this" {}
