"""
Ten minutes of everything at once: random faults, random edits, twenty clients in four processes, one real server.

`tests/faults` plays one fault at a time and knows what to expect of each. Here they come as a seed draws them, two at
once, and only what has to be true in any case is asked for: every minute all is healed, and then every client has to be
equal to the server, to have heard of every switch-off, and to hold no more tasks, files and memory than before.
"""
