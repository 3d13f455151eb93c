"""What each Backlog activity says about people (formats.md section 3)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from billing.tools.backlog.shapes import ADDED, REMOVED, Head, Membership, is_canned
from billing.tools.parsing import MalformedError, check, parse
from billing.tools.room import Event, Reading

#: The types Nulab's own client libraries name (they differ on 21), from 1 on. Any other is counted as unknown.
_FIRST = """
    issue_created issue_updated issue_commented issue_deleted wiki_created wiki_updated wiki_deleted
    file_added file_updated file_deleted svn_committed git_pushed git_repository_created issues_updated
    project_user_added project_user_removed notification_added pull_request_added pull_request_updated
    pull_request_commented pull_request_merged_or_deleted milestone_created milestone_updated milestone_deleted
    project_team_added project_team_removed
"""
_LATER = {
    34: "status_deleted",
    36: "document_created",
    37: "document_updated",
    38: "document_deleted",
    47: "issues_created",
    48: "documents_created",
}
WORDS: Mapping[int, str] = dict(enumerate(_FIRST.split(), start=1)) | _LATER
_KINDS: Mapping[int, str] = {ADDED: "board.member_added", REMOVED: "board.member_removed"}
_TEAMS = (25, 26)

_HEAD, _MEMBERSHIP = Head(), Membership()


def read(headers: Mapping[str, str], body: bytes) -> Reading:
    """The facts of one delivery, which is one activity. Never raises."""
    parsed = parse(body)
    if parsed.fault:
        return Reading(quarantined=True, reason=parsed.fault)
    return read_activity(parsed.value)


def read_activity(value: Any) -> Reading:
    """The facts of one activity as JSON. A webhook and the REST list show the same activities, one fact each.

    Never raises: what cannot be read is quarantined with the field's name.
    """
    word = ""
    try:
        number: int = check(_HEAD, value)["type"]
        word = WORDS.get(number, str(number))
        return replace(_read(number, value), action=word, known=number in WORDS)
    except MalformedError as error:
        return Reading(quarantined=True, reason=str(error), action=word)


def _read(number: int, value: Mapping[str, object]) -> Reading:
    if is_canned(value):
        return Reading(reason="an execution test of the settings page: nobody in it is real")
    if number in _KINDS:
        return _memberships(_KINDS[number], check(_MEMBERSHIP, value))
    if number in _TEAMS:
        return Reading(reread=True, reason="a team's members are not listed; only a snapshot says who they are")
    if number in WORDS:
        return Reading(reason=f"{WORDS[number]} is not about members")
    return Reading(reason=f"the activity type {number} is unknown")


def _memberships(kind: str, activity: Mapping[str, Any]) -> Reading:
    """One event for each person, and a hint besides: who came to the project may be new in the space.

    Ordinals go by the people's numbers, so they are the same in whatever order a wrapping lists them.
    """
    people = {int(user["id"]): user for user in activity["content"]["users"]}
    if not people:
        return Reading(reread=True, reason="the activity names nobody")
    events = tuple(
        Event(
            kind=kind,
            at=activity["created"],
            source_id=activity["id"],
            ordinal=ordinal,
            board=activity["project"]["id"],
            member=user["id"],
            name=user.get("name"),
            # Seconds are coarse: of one second, the higher number came later.
            seq=int(activity["id"]),
            data=_described(user),
        )
        for ordinal, (_, user) in enumerate(sorted(people.items()))
    )
    return Reading(events, reread=True)


def _described(user: Mapping[str, Any]) -> Mapping[str, object]:
    role_type = user.get("role_type")
    return {} if role_type is None else {"role_type": role_type}
