"""One tool and two houses: one hears every webhook, the other loses some and reconciles."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from billing.settings import Settings, fernet_keys
from billing.store import catalogue
from tests.pull.tool import Backlog, Chatwork, Trello, served
from tests.workers.world import World, at
from workers.reconcile import Report, reconcile

START = at("2025-01-15")
PEOPLE = [str(number) for number in range(100, 130)]
BOARDS = ["11", "12", "13"]


@dataclass
class House:
    """A world whose connection has a credential for a pretend tool."""

    world: World
    settings: Settings
    tool: Trello | Backlog | Chatwork
    workspace: str
    waits: list[float] = field(default_factory=list)

    def hear(self, body: dict[str, Any]) -> None:
        if body:
            name = str(body["action"]["id"] if "action" in body else body["id"])
            self.world.deliver(body, name)

    def settle(self) -> None:
        self.world.read_and_settle()
        self.world.settle(self.workspace)

    def reconcile(self, **more: Any) -> Report:
        report = reconcile(self.world.database, self.settings, self.workspace, pause=self.waits.append, **more)
        if not report.dry_run:
            self.settle()
        return report

    def to(self, when: datetime) -> None:
        """Let the clock come to an instant."""
        self.world.advance(when, self.workspace)

    def members(self) -> dict[str, tuple[str, bool]]:
        query = "SELECT member, membership, billable FROM member WHERE workspace_id = %s"
        found = {r["member"]: (r["membership"], r["billable"]) for r in self.world.rows(query, self.workspace)}
        return {name: told for name, told in found.items() if told != ("none", False)}

    def seats(self) -> set[tuple[str, str]]:
        query = "SELECT board, member FROM seat WHERE workspace_id = %s AND present"
        return {(row["board"], row["member"]) for row in self.world.rows(query, self.workspace)}

    def closed(self) -> set[str]:
        query = "SELECT board FROM board_head WHERE workspace_id = %s AND closed"
        return {row["board"] for row in self.world.rows(query, self.workspace)}

    def roster(self) -> tuple[object, ...]:
        return self.members(), self.seats(), self.closed()

    def ledger(self) -> list[tuple[datetime, str, int, int]]:
        """What is owed, line by line; a line that vanished again is at nothing."""
        query = "SELECT instant, kind, seats, amount FROM line WHERE workspace_id = %s AND amount <> 0 ORDER BY 1, 2, 3"
        return [(r["instant"], r["kind"], r["seats"], r["amount"]) for r in self.world.rows(query, self.workspace)]

    def facts(self, source: str) -> list[dict[str, Any]]:
        return self.world.rows("SELECT * FROM fact WHERE workspace_id = %s AND source = %s", self.workspace, source)


@contextmanager
def house(url: str, folder: Path, tool: Trello | Backlog | Chatwork, external_id: str = "w1") -> Iterator[House]:
    """A house for a tool that is already served."""
    name = type(tool).__name__.lower()
    world = World(url, START, tool=name)
    settings = Settings(data_dir=folder, database_url=url, secret_keys=fernet_keys("pretend"), api_addresses="any")
    workspace = world.workspace(external_id)
    with world.database.transaction("test") as connection:
        catalogue.load(connection, catalogue.shipped())
        connection.execute(
            "UPDATE connection SET credential = %s, api_url = %s",
            (settings.vault.encrypt(json.dumps(dict(tool.credential)).encode()), tool.url),
        )
    yield House(world, settings, tool, workspace)
    world.database.close()


@contextmanager
def both(
    tool: Trello | Backlog | Chatwork, new_database: Callable[[], str], folder: Path
) -> Iterator[tuple[House, House]]:
    """The house that hears everything, and the one that does not."""
    with served(tool), house(new_database(), folder, tool) as whole, house(new_database(), folder, tool) as lossy:
        yield whole, lossy


@dataclass
class Life:
    """What happens at a tool, a random thing at a time, each heard by one house and perhaps by the other."""

    tool: Trello | Backlog | Chatwork
    random: Random
    now: datetime = START
    lost: list[dict[str, Any]] = field(default_factory=list)

    def begin(self, *houses: House) -> None:
        """Boards and a few people, whom everybody hears of."""
        happened = [self.tool.happens("board.attached", self.now, None, board) for board in BOARDS]
        happened += [self.tool.happens("member.joined", self.now, who) for who in PEOPLE[:4]]
        for one in houses:
            for body in happened:
                one.hear(body)
            one.settle()

    def go_on(self, count: int, whole: House, lossy: House, may_lose: Callable[[str], bool]) -> None:
        """So many things happen, hours apart; of those that may be lost one in ten is."""
        for _ in range(count):
            self.now += timedelta(hours=self.random.randint(1, 30), seconds=self.random.randint(0, 3599))
            kind, who, board = self._next()
            body = self.tool.happens(kind, self.now, who, board)
            whole.hear(body)
            if may_lose(kind) and self.random.random() < 0.1:
                self.lost.append(body)
            elif lossy is not whole:
                lossy.hear(body)
        self.now += timedelta(hours=1)
        for one in (whole, lossy):
            one.to(self.now)
            one.settle()

    def _next(self) -> tuple[str, str | None, str | None]:
        town, who, board = self.tool.town, self.random.choice(PEOPLE), self.random.choice(BOARDS)
        match self.random.randrange(7):
            case 0 | 1:
                return ("member.left" if who in town.members else "member.joined"), who, None
            case 6:
                return ("board.reopened" if board in town.closed else "board.closed"), None, board
        return ("board.member_removed" if who in town.boards[board] else "board.member_added"), who, board
