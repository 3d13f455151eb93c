"""Signatures of Standard Webhooks 1.0: `v1` is HMAC-SHA256, `v1a` is ed25519. Payment callbacks use them too.

A secret is `whsec_` + base64 or bare base64 (v1), `whsk_` + base64 of seed and public key (v1a, signs and verifies)
or `whpk_` + base64 of the public key (v1a, verifies only).
"""

import base64
import hmac
import re
from collections.abc import Mapping
from datetime import datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from billing.core.errors import InvalidError

ID, STAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"

# Whole seconds only: reference libraries that read a float also honour fractions nobody signed.
_STAMP = re.compile(r"[0-9]{1,12}")
_ID = re.compile(r"[!-~]{1,255}")
#: A rotation needs two or three; the cap bounds what an unsigned request can make us compute.
_MAX_ITEMS = 16


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """One item of the header `webhook-signature`. `timestamp` is in seconds since 1970 UTC.

    Raises InvalidError when the secret cannot sign or the id is not printable ASCII of 1 to 255 characters.
    """
    if not _ID.fullmatch(message_id):
        raise InvalidError("a message id must be printable ASCII of 1 to 255 characters")
    content = _content(message_id, str(timestamp), body)
    if secret.startswith("whsk_"):
        private = _private_key(secret)
        if private is None:
            raise InvalidError("whsk_ must be followed by base64 of a 32-byte seed and its public key")
        return "v1a," + base64.b64encode(private.sign(content)).decode("ascii")
    key = _hmac_key(secret)
    if not key:
        raise InvalidError("a signing secret must be base64, with or without whsec_, or whsk_ and base64")
    return _v1(key, content)


def verify(secret: str, headers: Mapping[str, str], body: bytes, now: datetime, tolerance_s: int = 300) -> bool:
    """True when any item of the signature header fits, and the stamp is within `tolerance_s` seconds either way.

    Header names are lower case. Never raises; a secret that is empty or malformed verifies nothing.
    """
    message_id, stamp = headers.get(ID, ""), headers.get(STAMP, "")
    if not (_ID.fullmatch(message_id) and _STAMP.fullmatch(stamp)):
        return False
    if abs(now.timestamp() - int(stamp)) > tolerance_s:
        return False
    content = _content(message_id, stamp, body)
    items = headers.get(SIGNATURE, "").encode("utf-8", "surrogatepass").split(b" ")[:_MAX_ITEMS]
    if secret.startswith(("whsk_", "whpk_")):
        public = _public_key(secret)
        return public is not None and any(_fits(public, item, content) for item in items)
    key = _hmac_key(secret)
    if not key:
        return False
    # Exact text: base64 has spare bits, so a decoded comparison would honour four spellings of one signature.
    expected = _v1(key, content).encode("ascii")
    return any([hmac.compare_digest(expected, item) for item in items])  # noqa: C419 - compare all, in constant time


def _content(message_id: str, stamp: str, body: bytes) -> bytes:
    return f"{message_id}.{stamp}.".encode("ascii") + body


def _v1(key: bytes, content: bytes) -> str:
    # Not hmac.digest: that gives the interpreter away to another thread, for a few microseconds of work.
    return "v1," + base64.b64encode(hmac.new(key, content, "sha256").digest()).decode("ascii")


def _decode(text: str | bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""


def _hmac_key(secret: str) -> bytes:
    return b"" if secret.startswith("whpk_") else _decode(secret.removeprefix("whsec_"))


def _private_key(secret: str) -> Ed25519PrivateKey | None:
    raw = _decode(secret.removeprefix("whsk_"))
    if len(raw) != 64:
        return None
    key = Ed25519PrivateKey.from_private_bytes(raw[:32])
    return key if key.public_key().public_bytes_raw() == raw[32:] else None


def _public_key(secret: str) -> Ed25519PublicKey | None:
    if secret.startswith("whsk_"):
        private = _private_key(secret)
        return private.public_key() if private else None
    raw = _decode(secret.removeprefix("whpk_"))
    return Ed25519PublicKey.from_public_bytes(raw) if len(raw) == 32 else None


def _fits(public: Ed25519PublicKey, item: bytes, content: bytes) -> bool:
    version, _, text = item.partition(b",")
    signature = _decode(text)
    if version != b"v1a" or len(signature) != 64 or base64.b64encode(signature) != text:
        return False
    try:
        public.verify(signature, content)
    except InvalidSignature:
        return False
    return True
