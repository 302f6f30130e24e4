"""A mistake: with `--preload` gunicorn imports this before it forks, so the client runs in the master only."""

import asyncio
import threading

from tests.lifetimes.services.wsgi import app, flags

__all__ = ["app"]

# Not a portal of anyio, whose thread no child can ever join: its workers would hang as they end, with or without us.
loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()
asyncio.run_coroutine_threadsafe(flags.start(), loop).result()
