"""Releasing behind a flag: two implementations of one interface, data that moves, steps that can be undone."""
