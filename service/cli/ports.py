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
            raise PortTakenError(_told(host, port, variable, error)) from None


def _told(host: str, port: int, variable: str, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {host} is taken by another process; stop what uses it, or set {variable}"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"SEKISU_HOST {host!r} is not an address of this machine ({error.strerror})"
    return f"port {port} of {host} cannot be used ({error.strerror}); set {variable} to another"
