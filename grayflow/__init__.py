"""Gray switches for asyncio services."""
