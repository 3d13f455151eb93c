"""The console: one static page that shows, to whoever holds a key, what the API tells. It holds no data itself."""

from collections.abc import Callable
from pathlib import Path

from flask import Flask, Response

#: The parts of the page by their address, and what each is.
_PARTS = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/console/console.css": ("console.css", "text/css; charset=utf-8"),
    "/console/console.js": ("console.js", "text/javascript; charset=utf-8"),
    "/console/icon.svg": ("icon.svg", "image/svg+xml"),
}
#: Nothing runs but our own files, and they may talk to us only. The form is the script's, it is never submitted.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {"Content-Security-Policy": _POLICY, "Referrer-Policy": "no-referrer", "Cache-Control": "no-cache"}
_HERE = Path(__file__).parent


def register(app: Flask) -> None:
    """Serve the page at `/`. It needs no key: it asks for one and sends it to `/v1` only."""
    for address, (name, kind) in _PARTS.items():
        app.add_url_rule(address, f"console-{name}", _serve((_HERE / name).read_bytes(), kind))


def _serve(content: bytes, kind: str) -> Callable[[], Response]:
    return lambda: Response(content, content_type=kind, headers=_HEADERS)
