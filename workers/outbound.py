"""Requests to addresses that a customer named: public ones only, and exactly the one that was checked.

A name may resolve to another address the next time it is asked for. So it is resolved once, every address of the answer
is judged, and the socket is opened to one of those: nothing inside a network is even knocked at.
"""

import ipaddress
import re
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from billing.core.errors import InvalidError

_WAY_OUT = "leads inside a network; SEKISU_API_ADDRESSES=any allows it"
#: Where the internet's own addresses lie; of these the library knows what is set aside, but for the rows below.
_UNICAST = ipaddress.ip_network("2000::/3")
#: IETF protocols, relays and tunnels to a 6to4 host, documentation: some libraries call them global.
_ASIDE = tuple(map(ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24", "2002::/16", "3fff::/20")))
#: An IPv4 address as a translator writes it in IPv6 (RFC 6052); it counts as the IPv4 address.
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")
#: What a resolver reads as an address though nobody writes one so: 2130706433, 0x7f.1, 0177.0.0.1.
_ODD_NUMBER = re.compile(r"(0x[0-9a-f]*|[0-9]+)(\.(0x[0-9a-f]*|[0-9]+)){0,3}\.?", re.IGNORECASE)


class NotPublicError(NewConnectionError):
    """The name leads to an address inside a network, not on the public one."""


def check_address(url: str, allowed: str) -> None:
    """`allowed` is `public` (https to public addresses only) or `any`. An address written as a name is judged when
    it is connected to. Raises InvalidError."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        parts, good = urlsplit(""), False
    if not good or not url.isprintable() or " " in url or parts.query or parts.fragment or "@" in parts.netloc:
        raise InvalidError("must be an http(s) address without query, fragment and user")
    if allowed == "any":
        return
    if parts.scheme != "https":
        raise InvalidError("must be https")
    if _is_inside(parts.hostname or ""):
        raise InvalidError(_WAY_OUT)


def is_public(address: str) -> bool:
    """Whether an IP address is one machine's on the public internet. Raises ValueError for what is no address."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or (ipaddress.IPv4Address(int(found) & 0xFFFF_FFFF) if found in _TRANSLATED else None)
        if inner is not None:
            return is_public(str(inner))
        if found not in _UNICAST:
            return False
    return found.is_global and not found.is_multicast and not any(found in network for network in _ASIDE)


def leads_inside(fault: BaseException) -> bool:
    """Whether a request failed because its address is none of the public ones."""
    seen: BaseException | None = fault
    while seen is not None and not isinstance(seen, NotPublicError):
        seen = seen.__context__
    return seen is not None


def _is_inside(host: str) -> bool:
    """Whether a host that is written as an address (or as this machine's own name) is none of the public ones."""
    try:
        return not is_public(host)
    except ValueError:
        name = host.rstrip(".").lower()
        return name == "localhost" or name.endswith(".localhost") or _ODD_NUMBER.fullmatch(host) is not None


def _checked(made: HTTPConnection) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """(family, socket address) of every address of the host, asked for once. Raises NotPublicError if one is inside."""
    try:
        found = socket.getaddrinfo(made.host, made.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as fault:
        raise NameResolutionError(made.host, made, socket.gaierror(str(fault))) from fault
    if not all(is_public(str(address[0])) for *_, address in found):
        raise NotPublicError(made, f"the name {_WAY_OUT}")
    yield from ((family, address) for family, _, _, _, address in found)


def _opened(made: HTTPConnection) -> socket.socket:
    """A socket to the first of the checked addresses that answers."""
    last: OSError = OSError("the name has no address")
    for family, address in _checked(made):
        line = socket.socket(family, socket.SOCK_STREAM)
        try:
            for option in made.socket_options or ():
                line.setsockopt(*option)
            line.settimeout(made.timeout)
            line.connect(address)
        except OSError as fault:
            line.close()
            last = fault
        else:
            return line
    if isinstance(last, TimeoutError):
        raise ConnectTimeoutError(made, f"no connection within {made.timeout} s") from last
    raise NewConnectionError(made, f"no connection: {last}") from last


class _Connection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _opened(self)


class _SecureConnection(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _opened(self)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class PublicAdapter(HTTPAdapter):
    """Connects to public addresses only. Raises requests.ConnectionError for any other (see `leads_inside`)."""

    def init_poolmanager(self, *args: object, **kwargs: object) -> None:
        """Use pools whose connections look where they lead."""
        super().init_poolmanager(*args, **kwargs)  # type: ignore[arg-type]
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}


def adapter(allowed: str) -> HTTPAdapter:
    """An adapter without a session on purpose: no cookies, redirects, proxies or .netrc of the environment."""
    return HTTPAdapter(max_retries=0) if allowed == "any" else PublicAdapter(max_retries=0)


def prepared(url: str, params: list[tuple[str, str]], headers: dict[str, str]) -> requests.PreparedRequest:
    """A GET for JSON."""
    base = {"Accept": "application/json", "User-Agent": "sekisu"}
    return requests.Request("GET", url, params=params, headers=base | headers).prepare()
