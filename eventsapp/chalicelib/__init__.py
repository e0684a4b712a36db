"""The modules that ship to Lambda with app.py. Each has one subject."""
