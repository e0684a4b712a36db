"""What ships to Lambda beside app.py: one module a noun."""
