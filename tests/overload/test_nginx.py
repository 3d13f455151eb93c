"""The proxy of `deploy/`, where there is an nginx: slow senders stay in it, and the service notices nothing of them."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.machine import listens
from tests.overload.test_slow import QUICK, SLOW, Crowd, _quick, web
from tests.ports import free_port
from tests.receiver.test_over_http import PATH, ROOT, Web, await_true, head

__all__ = ["web"]
pytestmark = pytest.mark.skipif(shutil.which("nginx") is None, reason="there is no nginx on this machine")


@pytest.fixture
def behind(web: Web, tmp_path: Path) -> Iterator[Web]:
    """The web server as its nginx shows it: `deploy/nginx.conf` with other ports and folders."""
    inside, outside = web.port, free_port()
    text = (ROOT / "deploy" / "nginx.conf").read_text()
    for written, here in {
        "server web:8080": f"server 127.0.0.1:{inside}",
        "listen 8000": f"listen 127.0.0.1:{outside}",
        "/tmp/": f"{tmp_path}/",
    }.items():
        assert written in text
        text = text.replace(written, here)
    conf = tmp_path / "nginx.conf"
    conf.write_text(text)
    process = subprocess.Popen(
        [
            "nginx",
            "-p",
            str(tmp_path),
            "-e",
            str(tmp_path / "error.log"),
            "-c",
            str(conf),
            "-g",
            "daemon off; master_process off;",
        ]
    )
    try:
        await_true(lambda: process.poll() is not None or listens(outside))
        web.port = outside
        yield web
    finally:
        web.port = inside
        process.terminate()
        process.wait(10)


def _connected(port: int) -> int:
    """Connections that the service has accepted on its port."""
    wanted, count = f":{port:04X}", 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        count += fields[1].endswith(wanted) and fields[3] == "01"
    return count


def test_five_hundred_slow_bodies_never_reach_the_service(behind: Web) -> None:
    slow = head("POST", PATH, {"Content-Length": "1000"}) + b"{"

    with Crowd(behind.port, [slow] * SLOW):
        waits = _quick(behind)
        assert _connected(behind.house.settings.port) < 64

    print(f"behind nginx, beside {SLOW} slow bodies: slowest of {QUICK} {max(waits) * 1000:.0f} ms")
    assert sorted(waits)[QUICK // 2] < 0.5


def test_a_silent_body_and_a_slow_head_are_ended_by_the_proxy_after_ten_seconds(behind: Web) -> None:
    body = head("POST", PATH, {"Content-Length": "1000"}) + b"{"
    start = b"POST " + PATH.encode() + b" HTTP/1.1\r\nX-Slow: "

    with Crowd(behind.port, [body] * 3, drip=b"") as silent, Crowd(behind.port, [start] * 3) as dripping:
        await_true(lambda: silent.all_ended() and dripping.all_ended(), 30)

    assert min([*silent.ended.values(), *dripping.ended.values()]) > 9


def test_an_idle_connection_is_let_go_by_the_proxy_before_the_service_closes_it(behind: Web) -> None:
    assert len(_quick(behind)) == QUICK
    assert _connected(behind.house.settings.port) > 0

    await_true(lambda: _connected(behind.house.settings.port) == 0, 9)
