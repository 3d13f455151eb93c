"""Whether a port is free, asked before anything is started on it."""

import errno
import socket

from billing.core.errors import SekisuError


class PortTakenError(SekisuError):
    """Nothing new can listen on the port; the message names the setting to change."""

    code = "port_taken"


def check_port(host: str, port: int, variable: str) -> None:
    """Raises PortTakenError, naming the setting `variable`, when nothing new can listen on `host:port`."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise PortTakenError(f"SEKISU_HOST {host!r} is not an address of this machine ({error.strerror})") from None
    family, kind, protocol, _, address = found[0]
    with socket.socket(family, kind, protocol) as probe:
        # Finds a listener that shares its port, too: granian's own sockets do, and two services would share it unseen.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            why = "is taken by another process" if taken else f"cannot be used ({error.strerror})"
            raise PortTakenError(f"port {port} of {host} {why}; stop what uses it, or set {variable}") from None
