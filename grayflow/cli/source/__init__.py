"""Flags in the application's source: written into it, and found in it."""
