"""Draws the dashboard of a stage on the emulated AWS."""
