"""Trello's own samples and vectors, as they are published, and its answers to a snapshot."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from billing.tools import standard, trello
from billing.tools.room import Ask, Event, Person, Scope, Snapshot, Step
from billing.tools.standard import signature

SHARED = Path(__file__).parents[3] / "shared"
SAMPLES = SHARED / "payloads" / "trello"
VECTORS = SHARED / "signature-vectors.json"
needs_shared = pytest.mark.skipif(
    not SAMPLES.is_dir() or not VECTORS.is_file(), reason="no ../shared beside the work tree"
)

NOW = datetime(2025, 4, 15, 9, 30, tzinfo=UTC)
SECRET, URL = "demo-secret", "https://sekisu.example/webhooks/trello/c-1"


def sample(name: str) -> Any:
    return json.loads((SAMPLES / name).read_text("utf-8"))


def delivery(name: str) -> bytes:
    value = sample(name)
    wrapped = value if "action" in value else {"model": {}, "action": value}
    return json.dumps(wrapped, ensure_ascii=False).encode()


# What formats.md says of each published sample: kind, board, workspace, owner, member, role.
Row = tuple[str, str | None, str | None, str | None, str | None, str | None]
TOLD: dict[str, Row | None] = {
    "addMemberToBoard.action-2015.json": (
        "board.member_added",
        "5387e0a7e10724f99ecd0766",
        None,
        None,
        "557976153d63ef846e16a992",
        "normal",
    ),
    "addMemberToBoard.action-2017-docs.json": (
        "board.member_added",
        "560bf4298b3dda300c18d09c",
        None,
        None,
        "5813b41ecaaa91c7a5dae8fe",
        "normal",
    ),
    "addMemberToBoard.json": (
        "board.member_added",
        "53582e2da0fac5676a714277",
        None,
        "",
        "4e6a7fad05d98b02ba00845c",
        "normal",
    ),
    "removeMemberFromBoard.json": (
        "board.member_removed",
        "53582e2da0fac5676a714277",
        None,
        "",
        "4e6a7fad05d98b02ba00845c",
        None,
    ),
    "addMemberToOrganization.action-2017.json": (
        "member.joined",
        None,
        "538627f73cbb44d1bfbb58f0",
        None,
        "595123526d9a31740725bcc3",
        "normal",
    ),
    "addToOrganizationBoard.action-2015.json": (
        "board.attached",
        "54b0fd8dee901a913afe5f84",
        "54b0fad60dc699df783c8465",
        None,
        None,
        None,
    ),
    "updateBoard.closed.action-2015.json": ("board.closed", "55af0b659f5c12edf972ac2e", None, None, None, None),
    "unconfirmedOrganizationInvitation.action-2017.json": None,
    "addMemberToCard.json": None,
    "removeMemberFromCard.json": None,
    "commentCard.action.json": None,
    "updateCard.moved.action.json": None,
    "updateCard.moved.json": None,
}


def row(event: Event) -> Row:
    role = event.data.get("role")
    assert role is None or isinstance(role, str)
    return (event.kind, event.board, event.workspace, event.owner, event.member, role)


@needs_shared
def test_every_published_sample_is_expected_here() -> None:
    assert {p.name for p in SAMPLES.glob("*.json") if not p.name.startswith("rest_")} == set(TOLD)


@needs_shared
@pytest.mark.parametrize("name", TOLD)
def test_a_published_sample_is_accepted_and_gives_its_facts(name: str) -> None:
    body = delivery(name)
    headers = trello.sign(body, SECRET, URL, NOW, "")
    assert trello.verify(headers, body, SECRET, URL, NOW)
    reading = trello.read(headers, body)
    told = TOLD[name]
    assert [row(event) for event in reading.events] == ([told] if told else [])
    assert reading.known
    assert not reading.quarantined
    action = json.loads(body)["action"]
    assert trello.delivery_id(headers, body) == action["id"]
    for event in reading.events:
        assert event.at == datetime.fromisoformat(action["date"])
        assert event.at.microsecond % 1000 == 0
        assert event.source_id == action["id"]
    assert reading.reread is ("Invitation" in name)


@needs_shared
def test_the_vectors_marked_verified_are_honoured_and_all_others_refused() -> None:
    judged: list[str] = []
    for vector in json.loads(VECTORS.read_text("utf-8")):
        check = CHECKS.get(vector["scheme"])
        if check:
            assert check(vector) is vector["verified"], vector["source"]
            judged.append(vector["scheme"])
    assert set(judged) == set(CHECKS)


def lower(vector: dict[str, Any]) -> dict[str, str]:
    return {name.lower(): value for name, value in vector["headers"].items()}


def trello_vector(vector: dict[str, Any]) -> bool:
    body = vector["body"].encode()
    return trello.verify(lower(vector), body, vector["secret"], vector["url"], NOW)


def standard_vector(vector: dict[str, Any]) -> bool:
    body, at = vector["body"].encode(), datetime.fromtimestamp(int(vector["timestamp"]), UTC)
    headers = lower(vector)
    signed = signature.sign(vector["secret"], headers["webhook-id"], int(vector["timestamp"]), body)
    assert signed == vector["computed"]
    answers = {standard.verify(headers, body, vector["secret"], URL, at)}
    if "public_key" in vector:
        answers.add(signature.verify(vector["public_key"], headers, body, at))
    assert len(answers) == 1
    return answers.pop()


CHECKS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "trello": trello_vector,
    "standard-webhooks-v1": standard_vector,
    "standard-webhooks-v1a": standard_vector,
}


def test_head_is_the_handshake_and_needs_no_signature() -> None:
    assert trello.greet("HEAD", {}, b"")
    assert trello.greet("HEAD", {"x-anything": "1"}, b"x")
    assert not trello.greet("GET", {}, b"")


def test_the_callback_url_is_part_of_the_signature() -> None:
    headers = trello.sign(b"{}", SECRET, URL, NOW, "")
    assert trello.verify(headers, b"{}", SECRET, URL, NOW)
    for other in (URL + "/", URL + "?x=1", "", URL.replace("https", "http")):
        assert not trello.verify(headers, b"{}", SECRET, other, NOW)


def test_an_empty_secret_honours_nothing() -> None:
    assert not trello.verify(trello.sign(b"{}", "", URL, NOW, ""), b"{}", "", URL, NOW)


def test_other_spellings_of_the_same_signature_are_refused() -> None:
    good = trello.sign(b"{}", SECRET, URL, NOW, "")["x-trello-webhook"]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    honoured = [
        s
        for s in (good[:-2] + a + "=" for a in alphabet)
        if trello.verify({"x-trello-webhook": s}, b"{}", SECRET, URL, NOW)
    ]
    assert honoured == [good]


def body_of(action: dict[str, Any], model: object = None) -> bytes:
    whole = {"id": "a1", "type": "updateBoard", "date": "2025-04-15T09:30:00.000Z", "data": {}}
    return json.dumps({"model": model, "action": {**whole, **action}}).encode()


def test_the_fingerprint_leaves_out_words_for_people_only() -> None:
    plain = trello.fingerprint({}, body_of({}))
    assert trello.fingerprint({}, body_of({"display": {"translationKey": "x"}}, {"id": "b"})) == plain
    assert trello.fingerprint({}, body_of({"data": {"board": {"id": "b"}}})) != plain


@pytest.mark.parametrize(
    ("action", "field"),
    [
        ({"id": 7}, "action.id"),
        ({"id": "x" * 256}, "action.id"),
        ({"date": "yesterday"}, "action.date"),
        ({"date": "0001-01-01T00:00:00.000Z"}, "action.date"),
        ({"date": 1744709400000}, "action.date"),
        ({"type": None}, "action.type"),
        ({"data": []}, "action.data"),
        ({"data": None}, "action.data"),
        ({"data": {"board": {"id": 5}}}, "action.data.board.id"),
        ({"data": {"old": {"closed": "no"}, "board": {"id": "b"}}}, "action.data.old.closed"),
        ({"data": {"old": {"closed": False}, "board": {"closed": True}}}, "action.data.board.id"),
        ({"type": "addMemberToBoard", "data": {"idMember": "m"}}, "action.data.board.id"),
        ({"type": "addMemberToBoard", "data": {"idMemberAdded": 12, "idMember": "m"}}, "action.data.idMemberAdded"),
    ],
)
def test_a_wrong_field_is_quarantined_by_name(action: dict[str, Any], field: str) -> None:
    reading = trello.read({}, body_of(action))
    assert reading.quarantined
    assert (reading.reason or "").startswith(field + ":")


def test_a_wrong_shape_of_what_is_not_about_seats_is_of_no_interest() -> None:
    reading = trello.read({}, body_of({"type": "commentCard", "data": {"board": 3}, "member": 4}, "x"))
    assert reading.known
    assert not reading.quarantined


def test_a_board_whose_new_state_is_not_shown_is_read_again() -> None:
    reading = trello.read({}, body_of({"data": {"old": {"closed": False}, "board": {"id": "b"}}}))
    assert reading.reread
    assert not reading.events


def facts(kind: str, data: dict[str, Any], model: object, **action: Any) -> list[Row]:
    return [row(event) for event in trello.read({}, body_of({"type": kind, "data": data, **action}, model)).events]


def test_only_a_workspace_that_is_watched_stands_for_one_not_named() -> None:
    for model, workspace in (
        ({"id": "w", "displayName": "W"}, "w"),
        ({"id": "e", "displayName": "E", "idOrganizations": ["w"]}, None),
        ({"id": "m", "fullName": "M", "idOrganizations": ["w"]}, None),
        ({"id": "b", "idOrganization": "w"}, "w"),
        (None, None),
    ):
        assert facts("addMemberToOrganization", {"idMember": "m"}, model)[0][2] == workspace


def test_only_the_boards_own_model_shows_its_owner() -> None:
    data = {"board": {"id": "b"}, "idMember": "m"}
    for model, owner in (
        ({"id": "b", "idOrganization": "w"}, "w"),
        ({"id": "b", "idOrganization": None}, ""),
        ({"id": "b"}, None),
        ({"id": "other", "idOrganization": "w"}, None),
    ):
        assert facts("removeMemberFromBoard", data, model)[0][3] == owner


def test_a_board_made_in_a_workspace_is_attached_to_it_and_its_original_is_no_evidence() -> None:
    data = {"board": {"id": "b"}, "boardSource": {"id": "a"}}
    attached = [("board.attached", "b", "w", None, None, None)]
    assert facts("copyBoard", data, {"id": "b", "idOrganization": "w"}) == attached
    assert facts("copyBoard", data, {"id": "a", "idOrganization": "w"}) == []
    assert facts("createBoard", data, {"id": "b", "idOrganization": None}) == []


def test_a_closed_board_that_was_not_just_closed_is_no_news() -> None:
    for old in ({}, {"name": "x"}, {"closed": True}, {"closed": None}):
        assert facts("updateBoard", {"old": old, "board": {"id": "b", "closed": True}}, None) == []


def test_a_name_is_taken_only_from_the_person_it_belongs_to() -> None:
    data = {"board": {"id": "b"}, "idMember": "m1"}
    for shown, name in (("m1", "Ann"), ("m2", None)):
        body = body_of({"type": "removeMemberFromBoard", "data": data, "member": {"id": shown, "fullName": "Ann"}})
        assert [(e.member, e.name) for e in trello.read({}, body).events] == [("m1", name)]


def test_the_inviter_is_never_taken_for_the_member() -> None:
    for kind in ("unconfirmed", "create", "delete"):
        for place in ("Board", "Organization"):
            data = {"member": {"id": "inviter"}, "organization": {"id": "w"}, "board": {"id": "b"}}
            reading = trello.read({}, body_of({"type": f"{kind}{place}Invitation", "data": data}))
            assert reading.reread
            assert reading.known
            assert not reading.events


def member(person: str, **given: object) -> dict[str, object]:
    return {"id": f"row-{person}", "idMember": person, "memberType": "normal", **given}


def pulled(members: object, boards: dict[str, object]) -> Step:
    """A pull of a workspace whose answers are these."""
    answers: dict[Ask, object] = {}
    while isinstance(step := trello.pull(Scope("w1"), answers), tuple):
        for ask in step:
            place, _, what = ask.path.removeprefix("/").rpartition("/")
            lists = [{"id": board} for board in boards] if what == "boards" else members
            answers[ask] = boards[place.removeprefix("boards/")] if place.startswith("boards/") else lists
    return step


def test_a_snapshot_joins_the_workspace_and_its_boards_by_person() -> None:
    members = [
        member("ann", memberType="admin", member={"fullName": "Ann Ito"}),
        member("bob", deactivated=True),
        member("eve", memberType="ghost"),
    ]
    boards: dict[str, object] = {
        "b1": [member("ann"), member("cy", unconfirmed=True), member("dan", memberType="observer", deactivated=False)],
        "b2": [member("dan", member={"fullName": "Dan Oye"}), member("bob")],
    }
    snapshot = pulled(members, boards)
    assert isinstance(snapshot, Snapshot)
    assert snapshot.people == (
        Person("ann", "Ann Ito", True, ("b1",), "joined", "admin"),
        Person("bob", None, True, ("b2",), "deactivated", "normal"),
        Person("cy", None, False, ("b1",), "pending", "normal"),
        Person("dan", "Dan Oye", False, ("b1", "b2"), "joined", "observer"),
        Person("eve", None, True, (), "pending", "ghost"),
    )


@needs_shared
def test_the_published_answers_are_read() -> None:
    organization, board = sample("rest_organization_object.json"), sample("rest_board_memberships.json")
    snapshot = pulled(organization["memberships"], {"b1": board})
    assert isinstance(snapshot, Snapshot)
    people = {p.id: p for p in snapshot.people}
    assert len(people) == len(organization["memberships"]) + len(board)
    assert {p.state for p in people.values() if p.member} == {"joined"}
    assert sorted(p.state for p in people.values() if p.boards) == ["joined", "joined", "joined", "pending"]
    assert people["60957479168735c5fe044bd0"].name == "Member O"
    assert people["4d5eb12cd76aa113600000c9"].role == "admin"
