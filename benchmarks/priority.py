"""Processes that run before all others, as they would on a machine of their own."""

import os

__all__ = ["first"]


def first(pid: int) -> bool:
    """Give a process (0: this one) the lowest real-time priority; whether that is allowed here."""
    try:
        os.sched_setscheduler(pid, os.SCHED_RR, os.sched_param(1))
    except (AttributeError, OSError):
        return False
    return True
