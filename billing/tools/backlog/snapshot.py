"""The users of a space and of its projects, and the memberships since: what to ask Backlog, and how to read it.

A seat is a user of the space, and no webhook tells who is one; `/users` does. Memberships of projects that a webhook
lost are read again as activities, each with the number its webhook had, so both are one fact (formats.md section 3).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from marshmallow import fields

from billing.core.facts import BOARD_MEMBER_KINDS
from billing.tools.backlog.activities import read_activity
from billing.tools.backlog.shapes import Number
from billing.tools.parsing import Instant, MalformedError, Name, Shape, check
from billing.tools.room import Api, Ask, Event, Person, Refusal, Scope, Snapshot, Step

#: 600 readings in a minute; every space has an address of its own, such as https://kobo.backlog.com/api/v2.
API: Api | None = Api("", MappingProxyType({"key": "query:apiKey"}), (600, 60.0), BOARD_MEMBER_KINDS)
#: Activities of one answer, the most there can be.
PAGE = 100
_USERS = Ask("/users")
_PROJECTS = Ask("/projects", (("all", "true"),))
_TYPES = tuple(("activityTypeId[]", number) for number in ("15", "16", "25", "26"))


class _User(Shape):
    id = Number(required=True)
    name = Name(allow_none=True)


class _Project(Shape):
    id = Number(required=True)
    archived = fields.Boolean(allow_none=True, truthy={True}, falsy={False})


class _Activity(Shape):
    id = Number(required=True)
    created = Instant(required=True)


_USER, _PROJECT, _ACTIVITY = _User(), _Project(), _Activity()


@dataclass(slots=True)
class _Draft:
    name: str | None = None
    member: bool = False
    boards: list[str] = field(default_factory=list)


def pull(scope: Scope, answers: Mapping[Ask, object]) -> Step:
    """The users, the projects, each project's users, and the activities since, page by page."""
    try:
        return _pull(scope, answers)
    except MalformedError as error:
        return Refusal(str(error))


def _pull(scope: Scope, answers: Mapping[Ask, object]) -> Step:
    wanted = [_USERS, _PROJECTS, *_pages(scope, answers)]
    archived: dict[str, bool] = {}
    if _PROJECTS in answers:
        rows = _rows(answers[_PROJECTS], _PROJECT, "projects")
        archived = {row["id"]: bool(row.get("archived")) for row in rows}
    of_projects = {project: Ask(f"/projects/{project}/users") for project in archived}
    if unanswered := tuple(ask for ask in (*wanted, *of_projects.values()) if ask not in answers):
        return unanswered
    people = _people(answers[_USERS], {project: answers[ask] for project, ask in of_projects.items()})
    return Snapshot(people, archived, _events(scope, [answers[ask] for ask in wanted[2:]]))


def _pages(scope: Scope, answers: Mapping[Ask, object]) -> tuple[Ask, ...]:
    """The pages of the activities, newest first, until one that is not answered, not full, or reaches back enough."""
    if scope.since is None:
        return ()
    given = (*_TYPES, ("count", str(PAGE)))
    asks = [Ask("/space/activities", given)]
    while asks[-1] in answers:
        rows = _rows(answers[asks[-1]], _ACTIVITY, "activities")
        if len(rows) < PAGE or rows[-1]["created"] < scope.since:
            break
        # Whether the last activity comes again is not documented; either way the next page begins there.
        following = Ask("/space/activities", (*given, ("maxId", rows[-1]["id"])))
        if following in asks:
            break
        asks.append(following)
    return tuple(asks)


def _events(scope: Scope, pages: Iterable[object]) -> tuple[Event, ...]:
    """The events of the activities as the room reads a delivery of them. One that cannot be read is left out: what
    it told is in the lists all the same."""
    events: dict[tuple[str, int], Event] = {}
    for page in pages:
        for row in page if isinstance(page, list) else ():
            for event in read_activity(row).events:
                if scope.since is not None and event.at >= scope.since.replace(microsecond=0):
                    events[event.source_id, event.ordinal] = event
    return tuple(events.values())


def _people(users: object, projects: Mapping[str, object]) -> tuple[Person, ...]:
    """No role: the number alone does not say of which of Backlog's two lists of roles it is."""
    drafts: dict[str, _Draft] = {}
    for row in _rows(users, _USER, "users"):
        drafts[row["id"]] = _Draft(row.get("name"), member=True)
    for project, answer in projects.items():
        for row in _rows(answer, _USER, f"projects.{project}.users"):
            drafts.setdefault(row["id"], _Draft(row.get("name"))).boards.append(project)
    return tuple(Person(who, draft.name, draft.member, tuple(draft.boards)) for who, draft in sorted(drafts.items()))


def _rows(answer: object, shape: Shape, where: str) -> list[dict[str, Any]]:
    if not isinstance(answer, list):
        raise MalformedError(f"{where}: must be a list")
    return [check(shape, row, where) for row in answer]
