"""The API on this machine: `make run` and `chalice local`. Not shipped."""
