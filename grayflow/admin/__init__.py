"""Changing flags: every write checked, compared with what it was made from, audited, and reversible."""

from grayflow.admin.admin import Admin
from grayflow.admin.diff import Difference, diff
from grayflow.admin.explain import Explanation
from grayflow.admin.preview import Preview, Shift
from grayflow.admin.results import ImportReport, Misfit, Removal, Saved
from grayflow.admin.stale import Stale

__all__ = [
    "Admin",
    "Difference",
    "Explanation",
    "ImportReport",
    "Misfit",
    "Preview",
    "Removal",
    "Saved",
    "Shift",
    "Stale",
    "diff",
]
