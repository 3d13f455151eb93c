"""Ports for servers of tests, from below those that the system gives to outgoing connections: one of these may take a
port of that range between the moment it was found free and the moment its server binds it."""

import random
import socket

_BELOW_OUTGOING = range(20_000, 32_000)
#: Seeded by the system, also where a test plugin seeds the common one alike in each run.
_RANDOM = random.SystemRandom()


def free_port() -> int:
    """A port on which nobody listens."""
    for port in _RANDOM.sample(_BELOW_OUTGOING, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no free port found")
