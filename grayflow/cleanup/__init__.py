"""What runs when a variant is switched off, or on again: in every process, or once in the fleet, at least once."""
