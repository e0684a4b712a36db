"""Corrects the Terraform and the Swagger that chalice packages."""
