"""Counts the calls of functions: what work costs, in a measure that is the same on every machine."""

import gc
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

__all__ = ["calls"]


def calls(work: Callable[[], Any]) -> Counter[str]:
    """Count the calls of functions, of Python's (`call`) and of C's (`c_call`), and those of `compile`."""
    found: Counter[str] = Counter()

    def count(_frame: object, event: str, argument: object) -> None:
        found[event] += 1
        found["compile"] += event == "c_call" and argument is compile

    gc.disable()  # Hypothesis watches collections, by a function
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
        gc.enable()
    return found
