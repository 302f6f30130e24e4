"""How often implementations are called and how that goes: counted in each process, added up on the board."""
