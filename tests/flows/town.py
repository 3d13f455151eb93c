"""A hundred paying workspaces of one customer, and many deliveries at once."""

import asyncio
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from tests.flows.customer import Customer
from tests.flows.house import House, wait
from tests.flows.tool import at, in_workspace, raw

SIZE = 100
#: Pinned by every workspace of the town; no other flow uses it, so its price may change under them.
PLAN, UNIT = "trello-standard", 6000


class Town(Customer):
    """Each workspace has one member and one guest on one board, and has paid a year from 2025-01-15 on."""

    def __init__(self, house: House) -> None:
        super().__init__(house, at("2025-01-15"))
        self.names = [f"block {number}" for number in range(SIZE)]
        with ThreadPoolExecutor(8) as pool:
            self.workspaces = list(pool.map(self._build, self.names))
        self.advance(at("2025-07-15"))
        self.rest(self.workspaces[0])

    def _build(self, name: str) -> str:
        workspace = self.workspace(name)
        self.roster(workspace, "aoi", guests={"sora": [f"board of {name}"]})
        self.start(workspace, plan=PLAN)
        return workspace

    def joins(self, count: int, when: datetime, story: str) -> list[bytes]:
        """Webhooks: new people join, one after the other in every workspace, each at an instant of their own."""
        found = []
        for number in range(count):
            name, turn = self.names[number % SIZE], number // SIZE
            person = f"{story} {turn}"
            instant = when.replace(minute=turn)
            found.append(raw(in_workspace("addMemberToOrganization", name, person, instant, f"{name} {person}")))
        return found

    def settled(self, deliveries: int) -> bool:
        """Whether the town's inbox has so many deliveries done, and no fact waits."""
        done = self.house.count(
            "SELECT count(*) FROM delivery WHERE connection_id = %s AND state = 'done'", self.connection["id"]
        )
        waiting = self.house.count(
            "SELECT count(*) FROM fact WHERE workspace_id = ANY(%s) AND settled_at IS NULL", self.workspaces
        )
        return done >= deliveries and not waiting

    def done(self) -> int:
        """Deliveries of the town that were read."""
        return self.house.count(
            "SELECT count(*) FROM delivery WHERE connection_id = %s AND state = 'done'", self.connection["id"]
        )

    def paid(self) -> bool:
        """Whether every charge of the town has an outcome."""
        return not self.house.count(
            "SELECT count(*) FROM charge WHERE workspace_id = ANY(%s) AND status NOT IN ('succeeded', 'cancelled')",
            self.workspaces,
        )

    def await_paid(self, deliveries: int, seconds: float) -> None:
        wait(lambda: self.settled(deliveries) and self.paid(), seconds)

    def books(self) -> dict[str, tuple[int, int, int]]:
        """For each workspace: what its ledger posted, what its charges took, and what the endpoint's book says."""
        posted = self.house.sql(
            "SELECT workspace_id, sum(amount)::bigint AS n FROM entry WHERE workspace_id = ANY(%s) GROUP BY 1",
            self.workspaces,
        )
        charges = self.house.sql("SELECT * FROM charge WHERE workspace_id = ANY(%s)", self.workspaces)
        taken, booked = dict.fromkeys(self.workspaces, 0), dict.fromkeys(self.workspaces, 0)
        book = self.house.book()
        for charge in charges:
            taken[charge["workspace_id"]] += charge["amount"]
            row = book.get(charge["id"])
            booked[charge["workspace_id"]] += row["amount"] if row and row["status"] == "succeeded" else 0
        ledger = {row["workspace_id"]: row["n"] for row in posted}
        return {w: (ledger.get(w, 0), taken[w], booked[w]) for w in self.workspaces}


@dataclass(frozen=True, slots=True)
class Answered:
    """One delivery's answer, and the seconds from when it was due to be sent until the answer was read."""

    status: int
    seconds: float


class Load(threading.Thread):
    """Sends deliveries at an even rate over kept connections, whatever the answers take."""

    def __init__(self, customer: Customer, bodies: Sequence[bytes], rate: float) -> None:
        super().__init__(name="load", daemon=True)
        self._requests = [request_of(customer, body) for body in bodies]
        self._port, self._rate = customer.house.port, rate
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.answers: list[Answered] = []

    def run(self) -> None:
        asyncio.run(self._all())

    async def _all(self) -> None:
        began = time.monotonic() + 0.1
        async with asyncio.TaskGroup() as group:
            for number, request in enumerate(self._requests):
                group.create_task(self._one(request, began + number / self._rate))
        for _, writer in self._idle:
            writer.close()

    async def _one(self, request: bytes, due: float) -> None:
        await asyncio.sleep(due - time.monotonic())
        line = self._idle.pop() if self._idle else await asyncio.open_connection("127.0.0.1", self._port)
        line[1].write(request)
        head = (await line[0].readuntil(b"\r\n\r\n")).lower()
        await line[0].readexactly(int(head.partition(b"content-length:")[2].partition(b"\r")[0]))
        self._idle.append(line)
        self.answers.append(Answered(int(head[9:12]), time.monotonic() - due))


def request_of(customer: Customer, body: bytes) -> bytes:
    headers = {"Host": "127.0.0.1", "Content-Length": str(len(body)), **customer.signed(body)}
    lines = [f"POST {customer.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
