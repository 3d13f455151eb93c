"""An address that a customer named leads to the public internet only, by whatever spelling, answer or redirect."""

import base64
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest
import requests

from billing.core.errors import InvalidError
from billing.payments.wire import Wire
from billing.tools import trello
from billing.tools.room import Ask
from tests.core.telling import when
from tests.house.source import imported, modules, within
from workers import outbound
from workers.pulling import Line, PullError

PUBLIC = ["8.8.8.8", "93.184.215.14", "2606:4700::1111", "2001:4860:4860::8888", "::ffff:8.8.8.8", "64:ff9b::808:808"]
INSIDE = {
    "this network": "0.0.0.0",
    "private 10": "10.1.2.3",
    "private 172": "172.31.255.254",
    "private 192": "192.168.1.1",
    "loopback": "127.8.9.10",
    "link-local, the cloud's metadata": "169.254.169.254",
    "carrier's NAT": "100.64.0.1",
    "IETF protocols": "192.0.0.8",
    "documentation": "203.0.113.9",
    "6to4 relay": "192.88.99.1",
    "benchmarks": "198.18.0.1",
    "multicast": "224.0.0.1",
    "reserved": "240.0.0.1",
    "broadcast": "255.255.255.255",
    "v6 unspecified": "::",
    "v6 loopback": "::1",
    "v6 link-local": "fe80::1%1",
    "v6 unique local": "fd00::1",
    "v6 site-local": "fec0::1",
    "v6 multicast": "ff0e::1",
    "v6 documentation": "2001:db8::1",
    "v6 documentation, the newer": "3fff::1",
    "v6 Teredo": "2001:0:7f00:1::1",
    "v6 discard": "100::1",
    "v4 mapped": "::ffff:127.0.0.1",
    "v4 mapped, in hexadecimal": "::ffff:a01:203",
    "v4 compatible": "::127.0.0.1",
    "NAT64": "64:ff9b::7f00:1",
    "NAT64 of a network's own": "64:ff9b:1::808:808",
    "6to4": "2002:7f00:1::1",
}


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_public_internet_is_public_in_each_of_its_spellings(address: str) -> None:
    assert outbound.is_public(address)


@pytest.mark.parametrize("address", INSIDE.values(), ids=INSIDE)
def test_an_address_inside_a_network_is_not_public(address: str) -> None:
    assert not outbound.is_public(address)


@pytest.mark.parametrize("address", INSIDE.values(), ids=INSIDE)
def test_an_address_inside_a_network_is_refused_when_it_is_given(address: str) -> None:
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(InvalidError, match="inside a network"):
        outbound.check_address(f"https://{host}/api", "public")
    outbound.check_address(f"http://{host.replace('%1', '')}/api", "any")


@pytest.mark.parametrize(
    "host", ["2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "0", "127.0.0.1.", "8.8"]
)
def test_a_number_that_only_a_resolver_takes_for_an_address_is_refused(host: str) -> None:
    with pytest.raises(InvalidError, match="inside a network"):
        outbound.check_address(f"https://{host}/", "public")


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "gopher://api.example/",
        "https://",
        "//api.example/",
        "https://key:token@api.example/",
        "https://@api.example/",
        "https://api.example\\@10.0.0.1/",
        "https://api.example/\r\nHost: other",
        "https://api.example:0/",
        "https://api.example/#a",
    ],
)
@pytest.mark.parametrize("allowed", ["public", "any"])
def test_no_other_scheme_no_user_and_no_stray_letter_is_taken(url: str, allowed: str) -> None:
    with pytest.raises(InvalidError):
        outbound.check_address(url, allowed)


class _Answers(BaseHTTPRequestHandler):
    """Sends whoever asks on to another address of itself."""

    seen: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.seen.append(f"{self.path} {self.headers['Host']}")
        self.send_response(302 if self.path == "/away" else 200)
        self.send_header("Location", f"http://{self.headers['Host']}/inner")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"[]")

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def inner() -> Iterator[int]:
    """The port of a server inside, on every loopback address."""
    _Answers.seen.clear()
    server = ThreadingHTTPServer(("0.0.0.0", 0), _Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


Resolver = Callable[[list[list[str]]], list[str]]


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Resolver:
    """Gives names the answers of a list, one after another (the last for ever), and tells which were asked for."""
    genuine = socket.getaddrinfo

    def install(answers: list[list[str]]) -> list[str]:
        asked: list[str] = []

        def resolve(host: str, port: int, *rest: Any, **more: Any) -> list[Any]:
            if not host.endswith(".example"):
                return genuine(host, port, *rest, **more)
            asked.append(host)
            found = answers[min(len(asked), len(answers)) - 1]
            return [part for one in found for part in genuine(one, port, type=socket.SOCK_STREAM)]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        return asked

    return install


def ask(port: int, path: str = "/", allowed: str = "public") -> requests.Response:
    adapter = outbound.adapter(allowed)
    try:
        return adapter.send(outbound.prepared(f"http://rebind.example:{port}{path}", [], {}), timeout=(2, 2))
    finally:
        adapter.close()


@pytest.mark.parametrize("answer", [["127.0.0.1"], ["::1"], ["8.8.8.8", "10.0.0.1"], ["8.8.8.8", "::ffff:127.0.0.1"]])
def test_a_name_is_refused_when_any_of_its_addresses_is_inside_and_nothing_is_knocked_at(
    inner: int, resolver: Resolver, monkeypatch: pytest.MonkeyPatch, answer: list[str]
) -> None:
    resolver([answer])
    knocked: list[object] = []
    monkeypatch.setattr(socket.socket, "connect", lambda _, address: knocked.append(address))
    with pytest.raises(requests.ConnectionError) as caught:
        ask(inner)
    assert outbound.leads_inside(caught.value)
    assert (knocked, _Answers.seen) == ([], [])


def test_a_name_that_answers_public_and_then_private_is_resolved_once_and_connected_to_as_checked(
    inner: int, resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = resolver([["203.0.113.9"], ["127.0.0.1"]])
    # A public machine of this test's own: one address that is called public, with nobody at home there.
    monkeypatch.setattr(outbound, "is_public", lambda address: address == "203.0.113.9")
    knocked: list[tuple[str, int]] = []

    def connect(_: socket.socket, address: tuple[str, int]) -> None:
        knocked.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket.socket, "connect", connect)
    with pytest.raises(requests.ConnectionError) as caught:
        ask(inner)
    assert not outbound.leads_inside(caught.value)
    assert (asked, knocked, _Answers.seen) == (["rebind.example"], [("203.0.113.9", inner)], [])


def test_the_next_of_the_checked_addresses_is_tried_and_the_name_stays_the_host(
    inner: int, resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = resolver([["127.0.0.9", "127.0.0.1"]])
    monkeypatch.setattr(outbound, "is_public", lambda address: address.startswith("127."))
    genuine = socket.socket.connect

    def connect(line: socket.socket, address: tuple[str, int]) -> None:
        if address[0] == "127.0.0.9":
            raise ConnectionRefusedError
        genuine(line, address)

    monkeypatch.setattr(socket.socket, "connect", connect)
    assert ask(inner).status_code == 200
    assert (asked, _Answers.seen) == (["rebind.example"], [f"/ rebind.example:{inner}"])


@pytest.mark.parametrize("allowed", ["public", "any"])
def test_a_redirect_is_an_answer_and_is_not_followed(
    inner: int, resolver: Resolver, monkeypatch: pytest.MonkeyPatch, allowed: str
) -> None:
    resolver([["127.0.0.1"]])
    monkeypatch.setattr(outbound, "is_public", lambda _: True)
    assert ask(inner, "/away", allowed).status_code == 302
    assert _Answers.seen == [f"/away rebind.example:{inner}"]


def test_no_proxy_of_the_environment_is_asked_to_go_there_instead(
    inner: int, resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolver([["127.0.0.1"]])
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{inner}")
    with pytest.raises(requests.ConnectionError) as caught:
        ask(inner)
    assert outbound.leads_inside(caught.value)
    assert _Answers.seen == []


def test_a_private_address_is_asked_only_where_the_operators_setting_says_so(inner: int, resolver: Resolver) -> None:
    resolver([["127.0.0.1"]])
    assert ask(inner, allowed="any").status_code == 200


def test_a_pull_whose_address_leads_inside_ends_at_once_and_tells_no_credential(resolver: Resolver) -> None:
    asked = resolver([["10.0.0.1"]])
    waits: list[float] = []
    line = Line(trello.API, "https://rebind.example", {"key": "k-secret", "token": "t-secret"}, pause=waits.append)
    with pytest.raises(PullError, match="inside a network") as caught:
        line.ask(Ask("/organizations/w1/boards"))
    assert (len(asked), waits) == (1, [])
    assert "secret" not in str(caught.value)


def test_the_payment_endpoints_redirect_is_not_followed_either(inner: int) -> None:
    secret = "whsec_" + base64.b64encode(b"plum" * 8).decode()
    wire = Wire(secret, lambda: when("2025-03-01"), connect_timeout=2, read_timeout=2)
    reply = wire.send("test", "GET", f"http://127.0.0.1:{inner}/away", "msg-1")
    wire.close()
    assert (reply.status, len(_Answers.seen)) == (302, 1)


#: Who may open a way out, and to whom. Whoever joins this list says whose word the address is.
WAYS_OUT = {
    "workers.outbound": "a tool's API, named by a customer: public addresses only",
    "workers.pulling": "through workers.outbound",
    "billing.payments.wire": "the payment endpoint, named by the operator",
    "billing.payments.gateway": "through billing.payments.wire",
    "workers.mailing": "the mail server, named by the operator",
}
NETWORK = ("requests", "urllib3", "urllib.request", "http.client", "socket", "smtplib", "ssl", "ftplib", "telnetlib")
#: What runs beside the service: launchers, the sandbox (the other party), and commands a person types.
BESIDE = ("billing.engines", "billing.payments.sandbox", "service.cli")


def test_no_other_module_opens_a_way_out_so_a_callback_url_is_never_fetched() -> None:
    found = {
        module.name
        for module in modules()
        for name, _ in imported(module)
        if any(within(name, way) for way in NETWORK) and not any(within(module.name, other) for other in BESIDE)
    }
    assert found == WAYS_OUT.keys()
