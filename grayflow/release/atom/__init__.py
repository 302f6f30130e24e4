"""Ordered steps that are all done or all undone, also when the process is killed in the middle."""
