"""Where grayflow meets the frameworks and tools of others: one module each, imported only by whoever uses it."""
