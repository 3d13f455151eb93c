"""Open connections to the web server, and which of its processes holds the other end of each."""

import socket
import threading
from collections.abc import Sequence
from pathlib import Path

from tests.flows.house import House, wait


class Lines:
    """Connections that are held open, so that /proc tells which web process answers on each."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._lines: list[socket.socket] = []

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, *_: object) -> None:
        for line in self._lines:
            line.close()

    def over(self, processes: int, count: int) -> list[socket.socket]:
        """`count` connections that so many processes hold among them; more are tried when chance left one out."""
        while len(self._lines) < 20 * count:
            self._lines += [socket.create_connection(("127.0.0.1", self._house.port), timeout=30) for _ in range(count)]
            wait(lambda: len(self.owners(self._lines)) == len(self._lines))
            owners = self.owners(self._lines)
            first = {pid: line for line, pid in owners.items()}
            if len(first) >= processes:
                rest = [line for line in self._lines if line not in first.values()]
                return [*first.values(), *rest][:count]
        raise AssertionError(f"{len(self._lines)} connections reached {len(first)} processes")

    def owners(self, lines: Sequence[socket.socket]) -> dict[socket.socket, int]:
        """The process at the other end of each connection that was accepted."""
        inodes = _inodes(self._house.port)
        pids = {inode: pid for pid in self._house.web.pids() for inode in _held(pid)}
        named = {line: pids.get(inodes.get(line.getsockname()[1], "")) for line in lines}
        return {line: pid for line, pid in named.items() if pid is not None}


def _inodes(port: int) -> dict[int, str]:
    """The inode of the server's end of each connection to `port`, by the client's port."""
    found = {}
    for row in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, *more = row.split()
        if int(local.rpartition(":")[2], 16) == port:
            found[int(remote.rpartition(":")[2], 16)] = more[6]
    return found


def _held(pid: int) -> set[str]:
    found = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            kind, _, inode = str(entry.readlink()).partition(":[")
        except OSError:
            continue  # closed since
        if kind == "socket":
            found.add(inode[:-1])
    return found


def at_once(lines: Sequence[socket.socket], request: bytes) -> list[int]:
    """Send the request on every connection at the same moment; the statuses."""
    gate, statuses = threading.Barrier(len(lines)), [0] * len(lines)

    def one(number: int) -> None:
        gate.wait(30)
        lines[number].sendall(request)
        statuses[number] = int(_head(lines[number])[9:12])

    threads = [threading.Thread(target=one, args=(number,)) for number in range(len(lines))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return statuses


def _head(line: socket.socket) -> bytes:
    found = b""
    while b"\r\n\r\n" not in found and (piece := line.recv(65_536)):
        found += piece
    return found or b" " * 9 + b"000"


def exchange(house: House, *parts: bytes) -> tuple[int, bytes]:
    """Send raw bytes on a connection of their own and read to its end: the status, and all that was answered."""
    with socket.create_connection(("127.0.0.1", house.port), timeout=30) as line:
        for part in parts:
            line.sendall(part)
        found = b""
        while piece := line.recv(65_536):
            found += piece
    return int(found[9:12] or b"0"), found
