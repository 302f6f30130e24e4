"""Data that moves from an old store to a new one behind a running service."""
