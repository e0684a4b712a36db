# The real provider: it renders policy documents by itself, and planning what is new asks AWS nothing else.
provider "aws" {
  region                      = "ap-southeast-1"
  access_key                  = "none"
  secret_key                  = "none"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}

override_data {
  target = data.aws_caller_identity.this
  values = { account_id = "123456789012" }
}

variables {
  firewall     = { requests_per_address = 1234 }
  customer_key = true
}

# What it plans is also what tests/test_terraform.py tries the key's policy and the firewall's expression on.
run "the_provider_takes_it_all" {
  command = plan

  assert {
    condition     = length(aws_kms_key.this[0].policy) <= 32768
    error_message = "KMS takes no longer policy."
  }
}
