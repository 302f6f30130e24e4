"""
`grayflow demo`: the main job, live, with real processes, in half a minute.

Workers serve traffic and ask a flag for each request; the parent promotes the flag, takes the store away and gives it
back, and switches the flag off, upon which handlers clean up, in each worker and once in the fleet. Everything that the
summary says was measured while it ran.
"""
