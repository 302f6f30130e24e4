"""
The pure heart: flags, contexts, decisions, and the functions between them.

No module in here does I/O, reads a clock, draws a random number, logs or knows asyncio; import-linter proves it.
"""
