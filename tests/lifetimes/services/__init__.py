"""Services as real servers start them; each answer carries the number of the process that gave it."""
