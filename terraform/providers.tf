provider "aws" {
  region = var.region

  default_tags {
    # AWS chooses the ids of APIs and keys. A deploy role recognises its stage's API by a tag key that only this stage has,
    # and the stage's key by the tags `project` and `stage`.
    tags = {
      project                  = "event-api"
      stage                    = var.stage
      "event-api-${var.stage}" = "owner"
    }
  }
}

data "aws_caller_identity" "this" {}

data "aws_partition" "this" {}
