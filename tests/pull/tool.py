"""Pretend tools with a real HTTP API on a free port: lists, pages, credentials, 429, and people who come and go.

What happens is told to whoever delivers the webhooks, as the tool's own body; who drops some is not the tool's affair.
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from billing.core import calendar

Params = Mapping[str, list[str]]
Answer = tuple[int, dict[str, str], object]


@dataclass
class Town:
    """Who is where, for a tool's lists."""

    members: dict[str, str] = field(default_factory=dict)
    boards: dict[str, set[str]] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)

    def change(self, kind: str, who: str | None, board: str | None) -> None:
        """Let something happen, in the house's own words."""
        if kind == "member.joined":
            self.members[who or ""] = "normal"
        elif kind == "member.left":
            self.members.pop(who or "", None)
        elif kind == "board.attached":
            self.boards[board or ""] = set()
        elif kind == "board.member_added":
            self.boards[board or ""].add(who or "")
        elif kind == "board.member_removed":
            self.boards[board or ""].discard(who or "")
        elif kind == "board.closed":
            self.closed.add(board or "")
        elif kind == "board.reopened":
            self.closed.discard(board or "")


@dataclass
class Tool:
    """A tool's API. `throttle`: every so many requests one is answered 429; `fault` answers everything."""

    town: Town = field(default_factory=Town)
    throttle: int = 0
    retry_after: str = "2"
    fault: Answer | None = None
    asked: list[str] = field(default_factory=list)
    url: str = ""
    credential: ClassVar[Mapping[str, str]] = {}

    def serve(self, path: str, params: Params, headers: Mapping[str, str]) -> Answer:
        self.asked.append(path)
        if self.fault is not None:
            return self.fault
        if self.throttle and len(self.asked) % self.throttle == 0:
            return 429, {"Retry-After": self.retry_after}, {"error": "API_TOKEN_LIMIT_EXCEEDED"}
        if not self.knows(params, headers):
            return 401, {}, "invalid key"
        found = self.answer([part for part in path.split("/") if part], params)
        return (404, {}, "not found") if found is None else (200, {}, found)

    def knows(self, params: Params, headers: Mapping[str, str]) -> bool:
        raise NotImplementedError

    def answer(self, parts: list[str], params: Params) -> object | None:
        raise NotImplementedError


@dataclass
class Trello(Tool):
    """Boards and a workspace `w1`. The actions list has additions and moves only, as Trello's."""

    actions: list[dict[str, Any]] = field(default_factory=list)
    count: int = 0
    credential: ClassVar[Mapping[str, str]] = {"key": "k1", "token": "t1"}
    listed = frozenset({"addMemberToBoard", "addMemberToOrganization", "addToOrganizationBoard", "updateBoard"})
    words: ClassVar[Mapping[str, str]] = {
        "member.joined": "addMemberToOrganization",
        "member.left": "removeMemberFromOrganization",
        "board.member_added": "addMemberToBoard",
        "board.member_removed": "removeMemberFromBoard",
        "board.attached": "addToOrganizationBoard",
        "board.closed": "updateBoard",
        "board.reopened": "updateBoard",
    }

    def happens(self, kind: str, at: datetime, who: str | None = None, board: str | None = None) -> dict[str, Any]:
        """Let something happen; answers the webhook's body."""
        self.town.change(kind, who, board)
        self.count += 1
        data: dict[str, Any] = {}
        if board is not None:
            data["board"] = {"id": board}
        if who is not None:
            gone = kind.endswith(("left", "removed"))
            data |= {"idMember": who} if gone else {"idMemberAdded": who, "memberType": "normal"}
        if board is None or kind == "board.attached":
            data["organization"] = {"id": "w1"}
        if kind in ("board.closed", "board.reopened"):
            data["board"]["closed"] = kind == "board.closed"
            data["old"] = {"closed": kind != "board.closed"}
        action = {"id": f"{self.count:024x}", "type": self.words[kind], "date": calendar.written(at), "data": data}
        action |= {"member": {"id": who, "fullName": who.title()}} if who else {}
        self.actions.append(action)
        model = {"id": board, "idOrganization": "w1"} if board else {"id": "w1", "displayName": "Kobo"}
        return {"model": model, "action": action}

    def knows(self, params: Params, headers: Mapping[str, str]) -> bool:
        return params.get("key") == ["k1"] and params.get("token") == ["t1"]

    def answer(self, parts: list[str], params: Params) -> object | None:
        match parts:
            case ["organizations", "w1", "memberships"]:
                return [_membership(who, role) for who, role in sorted(self.town.members.items())]
            case ["organizations", "w1", "boards"]:
                return [{"id": board, "closed": board in self.town.closed} for board in sorted(self.town.boards)]
            case ["boards", board, "memberships"] if board in self.town.boards:
                return [_membership(who, "normal") for who in sorted(self.town.boards[board])]
            case ["organizations", "w1", "actions"]:
                return self._page([a for a in self.actions if "organization" in a["data"]], params)
            case ["boards", board, "actions"] if board in self.town.boards:
                mine = [a for a in self.actions if a["data"].get("board", {}).get("id") == board]
                return self._page(mine, params)
        return None

    def _page(self, actions: list[dict[str, Any]], params: Params) -> list[dict[str, Any]]:
        wanted = self.listed.intersection(params["filter"][0].split(","))
        since, before = params["since"][0], params.get("before", ["~"])[0]
        found = [a for a in actions if a["type"] in wanted and a["date"] >= since and a["id"] < before]
        return found[::-1][: int(params["limit"][0])]


def _membership(who: str, role: str) -> dict[str, Any]:
    return {"id": f"row-{who}", "idMember": who, "memberType": role, "unconfirmed": False, "deactivated": False}


@dataclass
class Backlog(Tool):
    """A space. Who joins or leaves it is announced to nobody; projects' people are."""

    activities: list[dict[str, Any]] = field(default_factory=list)
    credential: ClassVar[Mapping[str, str]] = {"key": "k1"}

    def happens(self, kind: str, at: datetime, who: str | None = None, board: str | None = None) -> dict[str, Any]:
        """Let something happen; answers the webhook's body, {} when there is no webhook for it."""
        self.town.change(kind, who, board)
        if not kind.startswith("board.member"):
            return {}
        activity = {
            "id": 700_000 + len(self.activities),
            "project": {"id": int(board or ""), "projectKey": "KOBO"},
            "type": 15 if kind == "board.member_added" else 16,
            "content": {"users": [{"id": int(who or ""), "name": f"No. {who}"}]},
            "created": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        }
        self.activities.append(activity)
        return activity

    def knows(self, params: Params, headers: Mapping[str, str]) -> bool:
        return params.get("apiKey") == ["k1"]

    def answer(self, parts: list[str], params: Params) -> object | None:
        match parts:
            case ["users"]:
                return [_user(who) for who in sorted(self.town.members)]
            case ["projects"]:
                return [{"id": int(b), "archived": b in self.town.closed} for b in sorted(self.town.boards)]
            case ["projects", project, "users"] if project in self.town.boards:
                return [_user(who) for who in sorted(self.town.boards[project])]
            case ["space", "activities"]:
                most = int(params.get("maxId", ["999999999"])[0])
                types = {int(number) for number in params["activityTypeId[]"]}
                found = [a for a in self.activities if a["type"] in types and a["id"] <= most]
                return found[::-1][: int(params["count"][0])]
        return None


def _user(who: str) -> dict[str, Any]:
    return {"id": int(who), "name": f"No. {who}", "roleType": 2, "mailAddress": f"{who}@kobo.example"}


@dataclass
class Chatwork(Tool):
    """Rooms. Nothing is announced; the list of rooms also has one's own chat and direct ones."""

    credential: ClassVar[Mapping[str, str]] = {"token": "t1"}

    def happens(self, kind: str, at: datetime, who: str | None = None, board: str | None = None) -> dict[str, Any]:
        """Let something happen; there is no webhook for it."""
        self.town.change(kind, who, board)
        return {}

    def knows(self, params: Params, headers: Mapping[str, str]) -> bool:
        return headers.get("x-chatworktoken") == "t1"

    def answer(self, parts: list[str], params: Params) -> object | None:
        match parts:
            case ["rooms"]:
                groups = [{"room_id": int(b), "type": "group"} for b in sorted(self.town.boards)]
                return [{"room_id": 1, "type": "my"}, *groups, {"room_id": 2, "type": "direct"}]
            case ["rooms", room, "members"] if room in self.town.boards:
                return [{"account_id": int(w), "role": "member", "name": w} for w in sorted(self.town.boards[room])]
        return None


@contextmanager
def served(tool: Tool, prefix: str = "/v1") -> Iterator[Tool]:
    """The tool behind a real socket; `tool.url` is its base."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(tool.serve, prefix))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    tool.url = f"http://127.0.0.1:{server.server_port}{prefix}"
    yield tool
    server.shutdown()
    server.server_close()
    thread.join()


def _handler(serve: Callable[[str, Params, Mapping[str, str]], Answer], prefix: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, more, body = serve(parts.path.removeprefix(prefix), parse_qs(parts.query), headers)
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in {**more, "Content-Length": str(len(raw))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *args: Any) -> None:
            """Quietly."""

    return Handler
