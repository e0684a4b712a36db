terraform {
  required_version = ">= 1.10" # the first version with the S3 backend's own lock file

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7"
    }
  }

  # The other settings are in stages/<stage>.s3.tfbackend. `make plan` adds the bucket: its name has the account's id.
  backend "s3" {}
}
