"""Candidates that run beside what answers, only to be compared with it; the caller never notices."""
