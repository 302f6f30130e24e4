"""
Deterministic simulation: a real replica on virtual time, against a store and a link that fail in every way.

One seed is one schedule: what happens to the server and to each message, and every random number of the library.
`python -m tests.simulation --seed N` plays one again; see `script.py` for what can happen, `watch.py` for what must
hold.
"""
