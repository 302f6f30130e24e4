"""
Real faults on real servers: what they do to a client, measured and judged.

Each fault is a short description (`Fault`: prepare, strike, heal) and is played on a stage: a server of its own, a
client that follows ten thousand flags, somebody who keeps editing them, and a task that keeps asking. At the end a
judge compares what the client holds with what the server holds. `python -m tests.faults` prints the table; the same
descriptions are tests of the suite, with fewer flags.
"""
