# The real provider renders policy documents on this machine. A plan of new resources makes no other call of AWS.
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
  protected    = true
  cors_origins = ["https://app.example.com"]
}

# tests/test_terraform.py reads this plan too: it tests the policies of key and table, and the firewall's expression.
run "the_provider_takes_it_all" {
  command = plan

  assert {
    condition     = length(aws_kms_key.this[0].policy) <= 32768
    error_message = "The key's policy is within KMS's limit of 32768 characters."
  }

  assert {
    condition     = length(aws_dynamodb_resource_policy.events["events"].policy) <= 20480
    error_message = "The table's policy is within DynamoDB's limit of 20 KB."
  }
}
