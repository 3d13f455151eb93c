"""Bodies, headers and ids that nobody sends by mistake alone: what a door must turn away and live."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, field

JSON = "application/json"
#: The service's own cap, in bytes.
CAP = 1_048_576
_MIB = 1024 * 1024


@dataclass(frozen=True)
class Case:
    """One request: its body, and how it is sent."""

    name: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    chunked: bool = False


def _wrapped(value: bytes) -> bytes:
    """An object of fields that many a command has, each with this value."""
    names = ("actor", "plan", "interval", "n", "facts", "members", "to", "name", "licences", "quote_id", "command")
    return b"{" + b", ".join(b'"%s": %s' % (name.encode(), value) for name in names) + b"}"


def _sizes() -> list[Case]:
    fill = {"0": b"", "1": b"{", "cap": b"x" * CAP, "cap and 1": b"x" * (CAP + 1), "8 MiB": b"x" * 8 * _MIB}
    whole = [Case(f"{name} bytes", body) for name, body in fill.items()]
    return whole + [Case(f"{name} bytes in chunks", body, chunked=True) for name, body in fill.items()]


def _texts() -> list[Case]:
    bodies = {
        "100,000 deep in lists": b"[" * 100_000,
        "100,000 deep and closed": b"[" * 100_000 + b"]" * 100_000,
        "100,000 deep in objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        "100,000 deep in a field": _deep(b"[", b"]"),
        "NUL bytes": b'{"name": "a\0b"}',
        "only NUL bytes": b"\0" * 1000,
        "an escaped NUL": _wrapped(b'"a\\u0000b"'),
        "an escaped NUL in a name": b'{"a\\u0000b": 1}',
        "half a surrogate pair": _wrapped(b'"\\ud800"'),
        "the other half": _wrapped(b'"\\udfff\\ud800"'),
        "half a pair in a name": b'{"\\ud800": 1}',
        "invalid UTF-8": b'{"name": "\xff\xfe\xc0\x80"}',
        "a surrogate in UTF-8": b'{"name": "\xed\xa0\x80"}',
        "UTF-16": '{"name": "a"}'.encode("utf-16"),
        "a byte order mark": b'\xef\xbb\xbf{"name": "a"}',
        "two documents": b"{}{}",
        "no document": b"hello",
        "a comma too many": b'{"name": "a",}',
        "a name twice": b'{"name": "a", "name": "b"}',
        "a name twice, inside": b'{"actor": {"id": "a", "id": "b"}}',
    }
    return [Case(name, body) for name, body in bodies.items()]


def _deep(opening: bytes, closing: bytes) -> bytes:
    return b'{"name": ' + opening * 100_000 + closing * 100_000 + b"}"


def _values() -> list[Case]:
    values = {
        "NaN": b"NaN",
        "Infinity": b"Infinity",
        "-Infinity": b"-Infinity",
        "1e400": b"1e400",
        "-1e400": b"-1e400",
        "5,000 digits": b"9" * 5000,
        "5,000 digits below zero": b"-" + b"9" * 5000,
        "90,000 digits": b"9" * 90_000,
        "4,000 digits": b"9" * 4000,
        "5,000 digits after the point": b"0." + b"9" * 5000,
        "the largest number and one": str(2**63).encode(),
        "an exponent of 5,000 digits": b"1e" + b"9" * 5000,
        "true": b"true",
        "an empty object": b"{}",
        "an empty list": b"[]",
        "an empty text": b'""',
        "a long text": b'"' + b"a" * 80_000 + b'"',
        "a line break": b'"a\\r\\nb: c"',
        "a right-to-left mark": '"\u202e\u0000"'.replace("\0", "\\u0000").encode(),
    }
    tops = {
        "a list": b"[]",
        "a text": b'"a"',
        "null": b"null",
        "a number": b"1",
        "true": b"true",
        "a list of lists": b"[[]]",
    }
    inside = [Case(f"{name} in each field", _wrapped(value)) for name, value in values.items()]
    return (
        inside
        + [Case(f"{name} at the top", body) for name, body in tops.items()]
        + [
            Case("a name of 500,000 letters", b'{"' + b"a" * 500_000 + b'": 1}'),
            Case("50,000 names", b"{" + b",".join(b'"n%d": 1' % n for n in range(50_000)) + b"}"),
        ]
    )


def _headers() -> list[Case]:
    body = b'{"name": "a"}'
    kinds = ("", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "a/b/c", "json")
    cases = [Case(f"the content type {kind!r}", body, {"Content-Type": kind}) for kind in kinds]
    packed = gzip.compress(body)
    return [
        *cases,
        Case("gzip", packed, {"Content-Encoding": "gzip"}),
        Case("a gzip bomb", gzip.compress(b"0" * 50 * _MIB), {"Content-Encoding": "gzip"}),
        Case("gzip in name only", b"{", {"Content-Encoding": "gzip"}),
        Case("another charset", '{"name": "ä"}'.encode("latin-1"), {"Content-Type": f"{JSON}; charset=latin-1"}),
        Case("a charset that is none", b"{", {"Content-Type": f"{JSON}; charset=\xff\xfe"}),
        Case("an empty key of idempotency", body, {"Idempotency-Key": ""}),
        Case("a long key of idempotency", body, {"Idempotency-Key": "k" * 300}),
        Case("a key of idempotency in Latin-1", body, {"Idempotency-Key": "\xa0\xff"}),
    ]


def cases() -> list[Case]:
    """All of them; each is no JSON, too large, not told to be JSON, or has fields that no route has together."""
    return [*_sizes(), *_texts(), *_values(), *_headers()]


#: What stands in a path where an id should; each is a segment as it is sent.
SEGMENTS = (
    "%00",
    "a%00b",
    "%2F",
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e",
    "%ff%fe",
    "%ed%a0%80",
    "%E5%B8%AD%E6%95%B0",
    "%F0%9F%92%BA",
    "%0d%0aSet-Cookie:%20a=b",
    "%27%20OR%201=1--",
    "%25s%25n",
    "a" * 5_000,
    "0" * 60_000,
)

#: What takes the place of one value of a body that is otherwise as its tool sends it.
TWISTS = (
    b'"a\\u0000b"',
    b'"\\ud800"',
    b"9" * 5000,
    b"NaN",
    b"1e400",
    b"null",
    b"[]",
    b"{}",
    b"true",
    b"-1",
    b"0.5",
    b'""',
    b'"' + b"a" * 10_000 + b'"',
    b"[" * 2000 + b"]" * 2000,
    b'"9999-99-99T99:99:99Z"',
    b'"0001-01-01T00:00:00+14:00"',
    b'"9999-12-31T23:59:59.999Z"',
    str(2**63).encode(),
)
_MARK = "@twist@"


def twisted(body: object, turn: int, each: int = 1) -> Iterator[bytes]:
    """The body again and again, each time with another of its values twisted; `turn` says where the twists begin."""
    for number, marked in enumerate(_marked(body)):
        text = json.dumps(marked).encode()
        for step in range(each):
            yield text.replace(f'"{_MARK}"'.encode(), TWISTS[(turn + number + 7 * step) % len(TWISTS)])


def _marked(value: object) -> Iterator[object]:
    """The value with each of its own values in turn, branches too, replaced by the mark."""
    yield _MARK
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from ({**value, name: new} for new in _marked(inner))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from ([*value[:number], new, *value[number + 1 :]] for new in _marked(inner))
