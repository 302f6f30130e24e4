"""Keeps the snapshot of one process equal to its store, and knows how far it may be believed."""
