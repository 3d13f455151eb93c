"""Standard Webhooks signatures: both versions, the window, and the traps of verifiers that raise."""

import base64
import hmac
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from billing.core.errors import InvalidError
from billing.tools.standard.signature import ID, SIGNATURE, STAMP, sign, verify

NOW = datetime(2025, 4, 15, 9, 30, tzinfo=UTC)
STAMP_NOW = int(NOW.timestamp())
BODY = b'{"type":"member.joined"}\xff'


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


SEED = bytes(range(32))
PUBLIC = Ed25519PrivateKey.from_private_bytes(SEED).public_key().public_bytes_raw()
V1, V1_BARE = "whsec_" + b64(SEED), b64(SEED)
V1A, V1A_PUBLIC = "whsk_" + b64(SEED + PUBLIC), "whpk_" + b64(PUBLIC)

BAD_STAMPS = [
    "",
    "x",
    f"{STAMP_NOW}.0",
    f"+{STAMP_NOW}",
    f" {STAMP_NOW}",
    "1_744709400",
    "9" * 5000,
    "١٧٤٤",
    "-1",
    "nan",
]
BAD_SECRETS = ["", "whsec_", "whsk_", "whpk_", "é", "\udc80", "s", "whsec_!", "whsk_AAAA", "whpk_AAAA"]
BAD_SECRETS += ["whsk_" + b64(SEED + SEED)]


def headers(secret: str, stamp: int | str = STAMP_NOW, signature: str | None = None) -> dict[str, str]:
    given = sign(secret, "msg_1", STAMP_NOW, BODY) if signature is None else signature
    return {ID: "msg_1", STAMP: str(stamp), SIGNATURE: given}


@pytest.mark.parametrize(("signer", "checker"), [(V1, V1), (V1, V1_BARE), (V1_BARE, V1), (V1A, V1A), (V1A, V1A_PUBLIC)])
def test_what_was_signed_is_honoured(signer: str, checker: str) -> None:
    assert verify(checker, headers(signer), BODY, NOW)
    assert not verify(checker, headers(signer), BODY + b" ", NOW)
    assert not verify(checker, {**headers(signer), ID: "msg_2"}, BODY, NOW)


@pytest.mark.parametrize(("signer", "checker"), [(V1, V1A), (V1, V1A_PUBLIC), (V1A, V1), (V1, "whpk_" + b64(SEED))])
def test_one_scheme_never_vouches_for_the_other(signer: str, checker: str) -> None:
    assert not verify(checker, headers(signer), BODY, NOW)


@pytest.mark.parametrize("secret", [V1, V1A])
def test_the_window_is_300_seconds_both_ways(secret: str) -> None:
    for seconds, honoured in ((-301, False), (-300, True), (300, True), (301, False)):
        assert verify(secret, headers(secret), BODY, NOW + timedelta(seconds=seconds)) is honoured
    assert verify(secret, headers(secret), BODY, NOW + timedelta(seconds=301), tolerance_s=400)


@pytest.mark.parametrize("secret", [V1, V1A])
def test_any_item_may_match_and_unknown_versions_are_ignored(secret: str) -> None:
    good = sign(secret, "msg_1", STAMP_NOW, BODY)
    for text in (f"v9,xx {good}", f"v1,AAAA v1a,AAAA nocomma {good}", f"{good} é", f"  {good}"):
        assert verify(secret, headers(secret, signature=text), BODY, NOW)
    payload = good.partition(",")[2]
    for text in (payload, f"v2,{payload}", f"v1b,{payload}", f"V1,{payload}", "", ",", "v1", "v1,", "v1a,"):
        assert not verify(secret, headers(secret, signature=text), BODY, NOW)


@pytest.mark.parametrize("secret", [V1, V1A])
def test_only_the_canonical_base64_is_honoured(secret: str) -> None:
    good = sign(secret, "msg_1", STAMP_NOW, BODY)
    stem = good.rstrip("=")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    spellings = [stem[:-1] + letter + good[len(stem) :] for letter in alphabet]
    assert [s for s in spellings if verify(secret, headers(secret, signature=s), BODY, NOW)] == [good]
    for loose in (stem, good + "=", good.replace(",", ",\n"), good[:8] + "\t" + good[8:]):
        assert not verify(secret, headers(secret, signature=loose), BODY, NOW)


@pytest.mark.parametrize("stamp", BAD_STAMPS)
def test_a_stamp_that_is_no_whole_number_is_refused(stamp: str) -> None:
    assert not verify(V1, headers(V1, stamp=stamp), BODY, NOW)


@pytest.mark.parametrize("secret", BAD_SECRETS)
def test_an_unusable_secret_verifies_nothing_and_cannot_sign(secret: str) -> None:
    assert not verify(secret, headers(V1), BODY, NOW)
    assert not verify(secret, headers(V1A), BODY, NOW)
    with pytest.raises(InvalidError):
        sign(secret, "msg_1", STAMP_NOW, BODY)


def test_the_empty_key_of_anyone_is_not_a_signature() -> None:
    forged = "v1," + b64(hmac.digest(b"", f"msg_1.{STAMP_NOW}.".encode() + BODY, "sha256"))
    for secret in ("", "whsec_"):
        assert not verify(secret, headers(V1, signature=forged), BODY, NOW)


def test_a_public_key_cannot_sign_and_an_odd_id_is_refused() -> None:
    with pytest.raises(InvalidError):
        sign(V1A_PUBLIC, "msg_1", STAMP_NOW, BODY)
    for wrong in ("", "é", "a b", "x" * 256, "a\n"):
        with pytest.raises(InvalidError):
            sign(V1, wrong, STAMP_NOW, BODY)
        assert not verify(V1, {**headers(V1), ID: wrong}, BODY, NOW)


def test_headers_that_are_missing_are_refused() -> None:
    for name in (ID, STAMP, SIGNATURE):
        assert not verify(V1, {k: v for k, v in headers(V1).items() if k != name}, BODY, NOW)
