"""Where flags live: the ports and their adapters."""
