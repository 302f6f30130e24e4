"""A new implementation under guard: it fails, and the old one answers; it fails too often, and it is not asked."""
