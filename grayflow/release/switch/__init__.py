"""Two implementations of one interface, and a flag that says who gets which."""
