"""
The hashes and operators of other systems, so that flags that come from them keep each user's bucket.

Written from public descriptions of how those systems decide, and measured against their own clients.
"""

from grayflow.core.foreign.shipped import SYSTEMS, System, foreign_extensions
from grayflow.core.foreign.subjects import foreign_context

__all__ = ["SYSTEMS", "System", "foreign_context", "foreign_extensions"]
