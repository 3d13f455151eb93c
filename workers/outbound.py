"""Requests to addresses that a customer named: public ones only, checked on the socket before a byte is sent.

A name may resolve to another address the next time it is asked for, so it is not the name that is judged.
"""

import ipaddress
import socket
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from billing.core.errors import InvalidError


class NotPublicError(HTTPError):
    """The name leads to an address inside a network, not on the public one."""


def check_address(url: str, allowed: str) -> None:
    """`allowed` is `public` (https to public addresses only) or `any`. An address written as a name is judged when
    it is connected to. Raises InvalidError."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        parts, good = urlsplit(""), False
    if not good or not url.isprintable() or " " in url or parts.query or parts.fragment or parts.username is not None:
        raise InvalidError("must be an http(s) address without query, fragment and user")
    if allowed == "any":
        return
    if parts.scheme != "https":
        raise InvalidError("must be https")
    if _is_inside(parts.hostname or ""):
        raise InvalidError("leads inside a network; SEKISU_API_ADDRESSES=any allows it")


def _is_inside(host: str) -> bool:
    """Whether a host that is written as an address (or as this machine's own name) is none of the public ones."""
    try:
        return not ipaddress.ip_address(host.partition("%")[0]).is_global
    except ValueError:
        return host.rstrip(".").lower() == "localhost" or host.lower().endswith(".localhost")


def _judged(made: socket.socket) -> socket.socket:
    peer = str(made.getpeername()[0])
    address = ipaddress.ip_address(peer.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    if (mapped or address).is_global:
        return made
    made.close()
    raise NotPublicError("the name leads inside a network; SEKISU_API_ADDRESSES=any allows it")


class _Connection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _judged(super()._new_conn())


class _SecureConnection(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _judged(super()._new_conn())


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class PublicAdapter(HTTPAdapter):
    """Connects to public addresses only. Raises requests.ConnectionError for any other."""

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
