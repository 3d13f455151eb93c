"""Which sockets are shut while a body is late: those that receive, or are silent, too long; none that is served."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from service.receiver import slow
from service.receiver.slow import SECONDS, Slow, Sockets

pytestmark = pytest.mark.skipif(slow._INFO is None, reason="the kernel tells of sockets on Linux only")


class Scene:
    """A listener of this process, a clock, and somebody whose body is late."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self.stack, self.now = stack, 100.0
        self.listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.port = self.listener.getsockname()[1]
        self.slow = Slow(lambda: self.now)
        self.slow._pid = slow.os.getpid()  # no thread: the test looks itself
        self.sockets = Sockets(self.port)

    def accept(self) -> tuple[socket.socket, socket.socket]:
        theirs = self.stack.enter_context(socket.create_connection(("127.0.0.1", self.port)))
        ours = self.stack.enter_context(self.listener.accept()[0])
        return theirs, ours

    def pass_time(self, seconds: float, *dripping: socket.socket) -> None:
        for _ in range(int(seconds * 2)):
            for line in dripping:
                with contextlib.suppress(OSError):
                    line.sendall(b"x")
            time.sleep(0.005)
            self.now += 0.5
            self.slow.turn(self.sockets)


@pytest.fixture
def scene() -> Iterator[Scene]:
    with contextlib.ExitStack() as stack:
        yield Scene(stack)


def _open(line: socket.socket) -> bool:
    line.setblocking(False)
    try:
        return line.recv(1) != b""
    except BlockingIOError:
        return True


def _working(scene: Scene) -> threading.Event:
    """Somebody else's request is under way until the event is set."""
    entered, done = threading.Event(), threading.Event()

    def work() -> None:
        scene.slow.enter()
        entered.set()
        done.wait(20)
        scene.slow.leave()

    thread = threading.Thread(target=work)
    thread.start()
    scene.stack.callback(thread.join)
    scene.stack.callback(done.set)
    assert entered.wait(5)
    return done


def test_a_dripping_and_a_silent_connection_are_shut_after_their_time(scene: Scene) -> None:
    (dripping, _), (silent, _) = scene.accept(), scene.accept()
    silent.sendall(b"POST")
    scene.slow.begin(scene.port)

    scene.pass_time(SECONDS - 1, dripping)
    assert _open(dripping)
    assert _open(silent)
    scene.pass_time(4, dripping)

    assert not _open(dripping)
    assert not _open(silent)


def test_a_connection_that_is_answered_meanwhile_is_left_alone(scene: Scene) -> None:
    slow_one, _ = scene.accept()
    theirs, ours = scene.accept()
    scene.slow.begin(scene.port)

    for _ in range(8):
        theirs.sendall(b"request")
        scene.pass_time(1, slow_one)
        ours.sendall(b"y")
        assert theirs.recv(10) == b"y"
        scene.pass_time(1, slow_one)

    assert _open(theirs)
    assert not _open(slow_one)


def test_nothing_is_shut_while_a_request_takes_long(scene: Scene) -> None:
    dripping, _ = scene.accept()
    done = _working(scene)
    scene.slow.begin(scene.port)

    scene.pass_time(3 * SECONDS, dripping)
    assert _open(dripping)
    done.set()
    while scene.slow._requests:
        time.sleep(0.01)
    scene.pass_time(1, dripping)

    assert not _open(dripping)


def test_nothing_is_looked_at_while_no_body_is_late(scene: Scene) -> None:
    idle, _ = scene.accept()

    scene.pass_time(3 * SECONDS)

    assert _open(idle)
    assert not scene.sockets._seen


def test_a_body_that_came_too_late_is_said_to_have(scene: Scene) -> None:
    began = scene.slow.begin(scene.port)
    scene.now += SECONDS
    assert not scene.slow.end(began)
    scene.now += 0.1
    assert scene.slow.end(began)
    assert not scene.slow._bodies
