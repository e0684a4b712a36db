"""The deployment of the API to an emulated AWS on this machine."""
