"""Processes that work in the background let the door go first: a sender waits for its answer, the row does not."""

import os

#: Steps of niceness: where a core is fought for, a web process gets about three times a worker's share.
STEPS = 5


def step_back() -> None:
    """Be nice, and let what this process forks be so too."""
    os.nice(STEPS)
