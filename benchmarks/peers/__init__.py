"""
What other libraries cost on the same work, in one run: `python -m benchmarks.peers`, or `nox -s peers`.

One module for each peer translates the work into the peer's own flags and runs in an environment of its own. The driver
(`__main__`) asks them in turn for one short measurement at a time, so that whatever else the machine does meanwhile
falls on all of them.
"""
