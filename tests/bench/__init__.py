"""Measures the app and other handlers of the same API: see docs/performance.md."""
