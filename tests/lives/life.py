"""The lives of two workspaces that share boards, on a real database, by the product's own jobs, under a test clock."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from billing.core import calendar
from billing.core.errors import ConflictError, InvalidError, NotFoundError, RefusedError
from billing.store import inbox, intake, leases, outcomes, workspaces
from billing.store.db import Conn, Database, Row, many
from billing.store.ids import new_id
from billing.store.outcomes import Answer
from billing.tools import room as rooms
from billing.tools.room import Person, Snapshot
from tests.flows import tool as trello
from tests.lives import asking
from tests.lives.endpoint import Endpoint
from tests.lives.happenings import BOARDS, HOMES, PEOPLE, Happening, happenings
from tests.lives.perils import Inline, Perils
from tests.lives.voices import TOOLS, Body, Message, Shape, external, message, wrapped_anew
from workers import callbacks, commands, documents, quotes, reading, refunding, roster_import, sending
from workers.roster_import import Observation
from workers.settle import settle

CALLBACK_URL = "http://127.0.0.1:9/none"
_BEGIN = datetime(2025, 1, 15, tzinfo=UTC)


class Life:
    """An account of its own: whatever it does can be told by `seed` and by the seeds of the deeds since."""

    def __init__(self, database: Database, committer: Conn, perils: Perils, shape: Shape, seed: int) -> None:
        random = Random(seed)
        self.database, self.committer, self.perils, self.shape = database, committer, perils, shape
        self.tool = random.choice(TOOLS[shape])
        self.zone = random.choice(["UTC", "Asia/Tokyo", "America/New_York"])
        self.patient = random.random() < 0.5
        self.now = _BEGIN + timedelta(days=random.choice([0, 16, 44, 350]), hours=random.choice([0, 9, 15]))
        self.tax = random.choice([None, "1/10", "2/25", "0"])
        self.endpoint, self.pool = Endpoint(), Inline()
        #: What the tool sent, by what it was kept as; what it holds back; what it got no answer to.
        self.kept: dict[tuple[str, str], Message] = {}
        self.held: list[tuple[Happening, Message]] = []
        self.unanswered: list[tuple[str, Message]] = []
        self.heard: list[tuple[Happening, datetime]] = []
        self.frozen: list[tuple[Row, Answer]] = []
        self.instants, self.number = [self.now], 0
        self.deeds: Counter[str] = Counter()
        self._begin()

    def _begin(self) -> None:
        self.account, self.clock = new_id("acc"), new_id("ck")
        self.connections = [new_id("cn") for _ in HOMES]
        self.workspaces = [new_id("ws") for _ in HOMES]
        with self.database.transaction("test") as connection:
            run = connection.execute
            run("INSERT INTO account (id, name, tax_rate) VALUES (%s, 'Ume', %s)", (self.account, self.tax))
            run("INSERT INTO clock (id, account_id, now) VALUES (%s, %s, %s)", (self.clock, self.account, self.now))
            for name, home, workspace in zip(self.connections, HOMES, self.workspaces, strict=True):
                run(
                    "INSERT INTO connection (id, account_id, tool) VALUES (%s, %s, %s)", (name, self.account, self.tool)
                )
                run(
                    """INSERT INTO workspace (id, account_id, tool, external_id, name, connection_id, time_zone,
                                              clock_id) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)""",
                    (
                        workspace,
                        self.account,
                        self.tool,
                        external(self.tool, home),
                        home,
                        name,
                        self.zone,
                        self.clock,
                    ),
                )
                intake.adopt(connection, workspace)

    def rows(self, query: str, *values: object) -> list[Row]:
        """Rows of a reading of its own."""
        with self.database.reading() as connection:
            return many(connection, query, values)

    def write(self, query: str, *values: object) -> int:
        """One statement, committed."""
        with self.database.transaction("test") as connection:
            return connection.execute(query.encode(), values).rowcount

    # --- what the tool does --------------------------------------------------------------------------------------

    def happen(self, random: Random) -> list[tuple[Happening, Message]]:
        """Something happens; nobody has heard of it yet."""
        shared = rooms.load(self.tool).SHARED_BOARDS
        found = happenings(random, self.now, self.instants, self.number, shared=shared)
        self.number += len(found)
        self.instants = [*self.instants, *(one.at for one in found)][-12:]
        return [(one, message(self.tool, one)) for one in found]

    def people(self, random: Random) -> list[tuple[Happening, Message]]:
        """Most of the people joined some days ago."""
        joined = [
            Happening("member.joined", self.now - timedelta(days=5), number, member)
            for number, member in enumerate(random.sample(PEOPLE, 5))
        ]
        self.number += len(joined)
        return [(one, message(self.tool, one)) for one in joined]

    def deliver(self, random: Random, told: Sequence[tuple[Happening, Message]], after: int | None = None) -> str:
        """The tool sends; with `after` the receiver dies past so many points, and the tool has no answer."""
        doors = [self._door(random, one) for one, _ in told]
        requests = [(door, sent) for door, (_, sent) in zip(doors, told, strict=True)]
        died = None
        if after is None:
            self.keep(requests)
        elif died := self.perils.kill(lambda: self.keep(requests), after):
            self.unanswered += requests
        self.heard += [(one, self.now) for one, sent in told if sent.events()]
        return f"{self._shown(told)}{f'; died at {died}' if died else ''}"

    def again(self, random: Random) -> str:
        """Something that was delivered comes again, perhaps by another door and in another wrapping."""
        if not self.heard:
            return "nothing"
        one = random.choice(self.heard)[0]
        same = random.random() < 0.5
        sent = message(self.tool, one if same else wrapped_anew(one, random))
        self.keep([(random.choice(self.connections) if self._anywhere() else self._door(random, one), sent)] * 2)
        return f"{one.kind} of {one.at:%m-%d %H:%M} again"

    def _door(self, random: Random, told: Happening) -> str:
        """By which connection it comes: the workspace's own, where deliveries do not say whose they are."""
        return (
            self.connections[HOMES.index(told.home)]
            if random.random() < 0.8 or not self._anywhere()
            else (random.choice(self.connections))
        )

    def _anywhere(self) -> bool:
        return self.tool in ("trello", "standard")

    def keep(self, requests: Sequence[tuple[str, Message]]) -> None:
        """The receiver's part: kept once, before the answer."""
        for connection_id, sent in requests:
            delivery = sent.delivery(connection_id)
            self.kept.setdefault(delivery.key, sent)
            inbox.keep(self.committer, [delivery])

    def _shown(self, told: Sequence[tuple[Happening, Message]]) -> str:
        return ", ".join(f"{o.kind} {o.member or ''}{o.board or ''} {o.home} {o.at:%Y-%m-%d %H:%M}" for o, _ in told)

    def listed(self, random: Random, observed: bool) -> str:
        """A full list is read: how things stand now, or what was seen between two looks."""
        which = random.choice(self.workspaces)
        boards = {self._board(board): random.random() < 0.2 for board in random.sample(BOARDS, 2)}
        people = tuple(
            Person(
                self._person(one),
                member=random.random() < 0.7,
                boards=tuple(b for b in boards if random.random() < 0.4),
            )
            for one in random.sample(PEOPLE, random.randint(1, 6))
        )
        with self.database.transaction("roster") as connection:
            workspace = workspaces.locked(connection, which)
            snapshot = Snapshot(people, boards)
            facts = roster_import.known(connection, workspace, workspace["now"], snapshot)
            since = workspace["now"] - timedelta(hours=random.choice([1, 24, 24 * 20]))
            seen = Observation(since) if observed else None
            events = roster_import.difference(workspace, workspace["now"], snapshot, facts, seen)
            roster_import.file(connection, workspace, events)
        return f"{len(events)} facts of {len(people)} people"

    def _person(self, name: str) -> str:
        ids: dict[str, Callable[[str], str]] = {"trello": trello.ident, "backlog": lambda one: str(700 + int(one[1:]))}
        return ids.get(self.tool, str)(name)

    def _board(self, name: str) -> str:
        ids: dict[str, Callable[[str], str]] = {"trello": trello.ident, "backlog": lambda one: str(200 + int(one[1:]))}
        return ids.get(self.tool, str)(name)

    # --- the jobs of the engine room -----------------------------------------------------------------------------

    def read(self) -> None:
        for connection_id in self.connections:
            reading.read(self.database, connection_id)

    def settle(self) -> None:
        for workspace in self.workspaces:
            settle(self.database, workspace, "live", patient=self.patient)

    def send(self) -> None:
        sending.send_due(self.database, self.endpoint, CALLBACK_URL, self.pool)  # type: ignore[arg-type]
        refunding.send_due(self.database, self.endpoint, self.pool)  # type: ignore[arg-type]

    def hear_back(self) -> None:
        callbacks.read_due(self.database)

    def papers(self) -> None:
        for workspace in self.workspaces:
            with self.database.transaction("papers") as connection:
                documents.issue_due(connection, workspace)

    def everything(self) -> None:
        """One round of all of them."""
        for job in (self.read, self.settle, self.send, self.hear_back, self.settle, self.papers):
            job()

    # --- what people do ------------------------------------------------------------------------------------------

    def command(self, random: Random, *, quoted: bool = False, body: Body | None = None) -> str:
        """A command is given, judged once, and refused or accepted; with `quoted` at the price that was told before."""
        which = self.workspaces[random.random() < 0.2]
        who = asking.actor(random, self.shape)
        with self.database.reading() as connection:
            sister = self.workspaces[which == self.workspaces[0]]
            workspace = workspaces.get(connection, which) | {"sister": sister}
            command, asked = asking.asked(connection, random, self.shape, workspace)
        if body is not None:
            which, command, asked, who = self.workspaces[0], "subscription", body, asking.actor(Random(0), self.shape)
        told = f"{command} {asked} of {HOMES[self.workspaces.index(which)]}"
        try:
            with self.database.transaction("command") as connection:
                if quoted:
                    self._at_the_quote(connection, which, command, asked, who)
                else:
                    commands.give(connection, "live", which, command, asked, who)
        except RefusedError as refusal:
            with self.database.transaction("refusal") as connection:
                commands.refused(connection, which, command, asked, who, refusal)
            self.deeds[f"{command} refused"] += 1
            return f"{told}: refused by {refusal.rule}"
        except (ConflictError, InvalidError, NotFoundError) as fault:
            return f"{told}: {fault}"
        self.deeds[f"{command} accepted"] += 1
        return f"{told}: accepted"

    def _at_the_quote(self, connection: Conn, which: str, command: str, asked: Body, who: Body) -> None:
        """Quoted and given at once: settled alone, line by line as quoted (law 11)."""
        quote = quotes.quote(connection, "live", which, {"command": command, **asked, "actor": who})
        before = _money(connection, which)
        commands.give(connection, "live", which, command, {**asked, "quote_id": quote["id"]}, who)
        after = _money(connection, which)
        made = {name: [row for row in after[name] if row["id"] not in before[name + " ids"]] for name in _MONEY}
        lines = sorted((row["kind"], row["seats"], row["amount"]) for row in made["entry"])
        assert lines == sorted((line["kind"], line["seats"], line["amount"]) for line in quote["lines"])
        assert sum(row["amount"] for row in made["charge"]) == quote["amount"]
        assert sum(row["amount"] for row in made["refund"]) == quote["refund"]

    def call_back(self, random: Random) -> str:
        """Callbacks come: late, out of order, twice, forged in nothing."""
        random.shuffle(self.endpoint.outbox)
        taken = [self.endpoint.outbox.pop() for _ in range(random.randint(0, len(self.endpoint.outbox)))]
        for name, body in taken + random.sample(taken, len(taken) // 2):
            with self.database.transaction("callback.keep") as connection:
                inbox.keep_callback(connection, "standard", name, body, "0", None)
        self.hear_back()
        return f"{len(taken)}"

    def freeze(self, random: Random) -> str:
        """A sender asks, and freezes with the answer in its hand."""
        with self.database.transaction("charge.lease") as connection:
            leased = leases.lease(connection, 1, sending.LEASE_S, CALLBACK_URL)
        for charge in leased:
            outcome = sending._post(self.endpoint, charge)  # type: ignore[arg-type]
            answer = sending.answered(outcome, charge["attempt"], charge["tries"], 0.0, random.random)
            self.frozen.append((charge, answer))
        return f"{len(leased)}"

    def thaw(self) -> str:
        """Frozen senders go on, whoever took over meanwhile."""
        frozen, self.frozen = self.frozen, []
        for charge, answer in frozen:
            with self.database.transaction("charge.book") as connection:
                outcomes.book(connection, charge["workspace_id"], charge["id"], answer, charge["token"])
        return f"{len(frozen)}"

    # --- what time does ------------------------------------------------------------------------------------------

    def tick(self, random: Random) -> str:
        """Hours to months pass, often up to something that is due, or to midnight."""
        chance, step = random.random(), timedelta(hours=random.randint(1, 30))
        if chance > 0.3:
            least, most = random.choice([(1, 20), (20, 70), (100, 400)])
            step = timedelta(days=random.randint(least, most))
        to = self.now + step
        if random.random() < 0.3:
            to = max(self.now, calendar.midnight(calendar.local_date(to, self.zone), self.zone))
        due = self.rows("SELECT due_at FROM workspace WHERE id = %s", self.workspaces[0])[0]["due_at"]
        if due and self.now < due < to and random.random() < 0.5:
            to = due
        self.now = to
        self.write("UPDATE clock SET now = %s WHERE id = %s", to, self.clock)
        return f"{to:%Y-%m-%d %H:%M}"

    def wait(self, hours: float) -> str:
        """The wall's clock goes on: leases run out, what waits to be tried again is due."""
        for table in ("charge", "refund"):
            query = f"""UPDATE {table} SET first_sent_at = first_sent_at - make_interval(hours => %s),
                            due_at = CASE WHEN due_at IS NOT NULL THEN clock_timestamp() END
                        WHERE workspace_id = ANY(%s)"""  # noqa: S608 - a table of this method
            self.write(query, hours, self.workspaces)
        self.write("UPDATE callback SET due_at = now() WHERE due_at IS NOT NULL")
        return f"{hours} hours"

    def rest(self) -> None:
        """Everything heals and everybody finishes; nothing is on its way any more."""
        self.endpoint.mode, random = "up", Random(0)
        requests, self.unanswered = self.unanswered, []
        self.keep(requests)
        held, self.held = self.held, []
        self.deliver(random, held)
        for _ in range(60):
            before = self._standing()
            self.endpoint.random = Random(1)
            self.endpoint.resolve(Random(2))
            self.wait(0)
            self.read()
            self.settle()
            self.send()
            self.thaw()
            while self.endpoint.outbox:
                self.call_back(random)
            if self._standing() == before:
                break
        else:
            raise AssertionError("it never comes to rest")
        self.papers()

    def _standing(self) -> list[Any]:
        query = """
            SELECT (SELECT count(*) FROM fact WHERE workspace_id = ANY(%(w)s) AND settled_at IS NOT NULL) AS facts,
                (SELECT count(*) FROM delivery WHERE connection_id = ANY(%(c)s) AND state = 'kept') AS kept,
                (SELECT count(*) FROM journal WHERE workspace_id = ANY(%(w)s)) AS moves,
                (SELECT json_agg(row_to_json(x) ORDER BY x.id) FROM (
                    SELECT id, status, attempt, amount FROM charge WHERE workspace_id = ANY(%(w)s)
                    UNION ALL SELECT id, status, 0, amount FROM refund WHERE workspace_id = ANY(%(w)s)) x) AS money,
                (SELECT count(*) FROM workspace w JOIN clock k ON k.id = w.clock_id
                 WHERE w.id = ANY(%(w)s) AND w.due_at <= k.now) AS due"""
        with self.database.reading() as connection:
            return many(connection, query, {"w": self.workspaces, "c": self.connections})

    def leave(self) -> None:
        """Nothing of this life may be sent in the next one."""
        for table in ("charge", "refund"):
            query = f"UPDATE {table} SET due_at = NULL WHERE workspace_id = ANY(%s)"  # noqa: S608 - of this method
            self.write(query, self.workspaces)
        self.write("UPDATE callback SET due_at = NULL")


_MONEY = ("entry", "charge", "refund")


def _money(connection: Conn, workspace: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for table in _MONEY:
        found[table] = many(connection, f"SELECT * FROM {table} WHERE workspace_id = %s", (workspace,))  # noqa: S608
        found[table + " ids"] = {row["id"] for row in found[table]}
    return found
