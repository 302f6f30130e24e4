"""
What handlers of switch-offs most often do, ready-made: remove the keys of what was switched off, and tell others.

Both work on the application's own connections: nothing is opened, nothing of redis-py is imported, and grayflow's own
connection never leaves its namespace. In a handler they are methods of the event, `off.purge_keys(...)` and
`off.publish(...)`; here they are functions, for scripts and for what is not a switch-off.
"""

from grayflow.cleanup.announce import Send, announcement, publish
from grayflow.cleanup.purge import Purge, purge_keys

__all__ = ["Purge", "Send", "announcement", "publish", "purge_keys"]
