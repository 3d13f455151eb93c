"""The product on real processes, as tests/flows has it, with a mail server, a book on disk, and callers that insist."""

import os
import secrets
import signal
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import requests

from tests.flows.customer import Customer
from tests.flows.house import PATIENCE, House
from tests.flows.parts import Part
from tests.flows.tool import Body, raw
from tests.papers.mailroom import Mailroom

_T = TypeVar("_T")
#: Holds modules that processes of the product load when a test asks them to (PYTHONPATH).
INSIDE = Path(__file__).parent / "inside"

#: Whoever is in the table `poison` cannot be filed: it stands for content that nobody foresaw.
_POISON = """
CREATE TABLE poison (member text PRIMARY KEY);
GRANT SELECT ON poison TO PUBLIC;
CREATE FUNCTION refuse_poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF EXISTS (SELECT FROM poison p WHERE p.member = NEW.member) THEN
        RAISE EXCEPTION 'poison' USING ERRCODE = '22P02';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuse_poison BEFORE INSERT ON fact FOR EACH ROW EXECUTE FUNCTION refuse_poison();
"""
#: All that an account still waits for. Callbacks name no account; those of its charges do.
_WAITING = """
WITH mine AS (SELECT id, clock_id FROM workspace WHERE account_id = %(account)s), ids AS (SELECT id FROM mine)
SELECT (SELECT count(*) FROM delivery d JOIN connection c ON c.id = d.connection_id
        WHERE c.account_id = %(account)s AND d.state = 'kept') AS deliveries,
       (SELECT count(*) FROM fact f JOIN mine w ON w.id = f.workspace_id LEFT JOIN clock c ON c.id = w.clock_id
        WHERE f.settled_at IS NULL AND f.at <= COALESCE(c.now, clock_timestamp())) AS facts,
       (SELECT count(*) FROM charge WHERE workspace_id IN (SELECT id FROM ids)
        AND status IN ('queued', 'sending', 'pending', 'unknown')) AS charges,
       (SELECT count(*) FROM charge WHERE workspace_id IN (SELECT id FROM ids) AND document_due) AS documents,
       (SELECT count(*) FROM refund WHERE workspace_id IN (SELECT id FROM ids)
        AND status IN ('queued', 'sending', 'pending', 'unknown')) AS refunds,
       (SELECT count(*) FROM mail WHERE workspace_id IN (SELECT id FROM ids) AND status = 'queued') AS mails,
       (SELECT count(*) FROM callback WHERE state = 'kept') AS callbacks
"""


class NotBegunError(AssertionError):
    """A play did not come to the fault it is about: it shows nothing, and nothing was lost by it."""


class FaultHouse(House):
    """A house whose parts may be armed to kill themselves at a named point."""

    def __init__(self, folder: Path, database_url: str, superuser_url: str) -> None:
        self.parts: dict[str, Part] = {}
        self._passed = 0.0
        self.mailroom = Mailroom()
        self.mailroom.open()
        super().__init__(folder, database_url, superuser_url)
        self.sql(_POISON)

    @property
    def environ(self) -> dict[str, str]:
        """As `up` gives it, with a mail server and tools on this machine."""
        return {
            **super().environ,
            "SEKISU_SMTP_URL": f"smtp://127.0.0.1:{self.mailroom.port}",
            "SEKISU_API_ADDRESSES": "any",
            "SEKISU_WEB_PROCESSES": "2",
            "SEKISU_WORKER_THREADS": "4",
        }

    def _part(self, name: str, words: list[str]) -> Part:
        if name == "sandbox":
            words = [*words, "--data-dir", str(self.folder / "book")]
        part = self.parts[name] = super()._part(name, words)
        return part

    def restart(self, name: str, **settings: str) -> None:
        """kill -9 of a part and a new one in its place; `settings` are for this one alone."""
        if self.parts[name].process.poll() is None:
            self.parts[name].kill()
        self.parts[name].start(**settings)

    def mend(self) -> None:
        """Start what died and has nobody above it to do so; whoever was frozen goes on."""
        for part in self.parts.values():
            if part.process.poll() is not None:
                part.start()
            else:
                os.killpg(part.process.pid, signal.SIGCONT)

    def freeze(self, name: str) -> None:
        """Stop a part at a moment when it holds no row."""
        group = self.parts[name].process.pid
        for _ in range(600):
            os.killpg(group, signal.SIGSTOP)
            if not self._at_work():
                return
            os.killpg(group, signal.SIGCONT)
            time.sleep(0.05)
        raise NotBegunError(f"{name} is never at rest")

    def thaw(self, name: str) -> None:
        os.killpg(self.parts[name].process.pid, signal.SIGCONT)

    def _at_work(self) -> int:
        query = """SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                   AND pid <> pg_backend_pid() AND state <> 'idle'"""
        return self.count(query)

    def waiting(self, account: str) -> dict[str, int]:
        """How many rows of an account still wait for something to be done, by kind; empty when none does."""
        (row,) = self._sql.execute(_WAITING, {"account": account}).fetchall()
        return {name: count for name, count in row.items() if count}

    def quiet(self, account: str, seconds: float = 40.0, *, hurry: bool = False) -> None:
        """Wait until nothing of an account waits any longer; with `hurry` time passes quickly."""
        end = time.monotonic() + seconds * PATIENCE
        while left := self.waiting(account):
            assert time.monotonic() < end, f"after {seconds} s these still wait: {left}"
            if hurry:
                self.pass_time(account)
            time.sleep(0.02)

    def pass_time(self, account: str, every: float = 6.0) -> None:
        """Let what waits long for its next try, or for a dead process's lease, be due now; not again for a while, or
        whoever is at work on it would lose the lease for ever."""
        if time.monotonic() - self._passed < every * PATIENCE:
            return
        self._passed = time.monotonic()
        mine = "due_at > now() + interval '9 s' AND workspace_id IN (SELECT id FROM workspace WHERE account_id = %s)"
        self.sql(f"UPDATE mail SET due_at = now() WHERE status = 'queued' AND {mine}", account)  # noqa: S608
        self.sql(f"UPDATE refund SET due_at = now() WHERE status = 'unknown' AND {mine}", account)  # noqa: S608
        query = f"UPDATE charge SET due_at = now() WHERE status IN ('unknown', 'pending') AND {mine}"  # noqa: S608
        self.sql(query, account)

    def books(self) -> dict[str, list[dict[str, Any]]]:
        """The payment endpoint's own book, whole."""
        told: dict[str, list[dict[str, Any]]] = requests.get(f"{self.sandbox}/book", timeout=10).json()
        return told

    def ready(self) -> bool:
        """Whether the web and the payment endpoint answer."""
        return self._ready()


class Patient(Customer):
    """A customer whose programs ask again after no answer, a 5xx or a 429, as real ones do: the same bytes, and the
    same Idempotency-Key. `accepted` are the webhooks that were answered 200, by the id they bear, and how often; those
    of `poison` cannot be filed."""

    def __init__(self, house: FaultHouse, now: datetime | None = None) -> None:
        self.accepted: dict[str, int] = {}
        self.poison: set[str] = set()
        super().__init__(house, now)

    def post(self, path: str, body: Mapping[str, Any], status: int = 201) -> Any:
        headers = {"Idempotency-Key": secrets.token_hex(8)}
        url = self.house.url + path
        return self._told(insist(lambda: self._http.post(url, json=body, headers=headers, timeout=10)), status)

    def get(self, path: str, status: int = 200) -> Any:
        return self._told(insist(lambda: self._http.get(self.house.url + path, timeout=10)), status)

    def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._told(insist(lambda: self._http.patch(self.house.url + path, json=body, timeout=10)), 200)

    def deliver(self, body: Body | bytes) -> int:
        """As the tool: sent again until it is taken."""
        content = body if isinstance(body, bytes) else raw(body)
        status = insist(lambda: self._send(content)).status_code
        if status == 200 and not isinstance(body, bytes):
            name = body["action"]["id"]
            self.accepted[name] = self.accepted.get(name, 0) + 1
        return status

    def _send(self, content: bytes) -> requests.Response:
        headers = {"Content-Type": "application/json", **self.signed(content)}
        return requests.post(self.house.url + self.path, content, headers=headers, timeout=10)

    def workspaces(self) -> list[str]:
        rows = self.house.sql("SELECT id FROM workspace WHERE account_id = %s ORDER BY id", self.account)
        return [row["id"] for row in rows]


def insist(ask: Callable[[], requests.Response], seconds: float = 40.0) -> requests.Response:
    """Ask until there is an answer that says something."""
    end = time.monotonic() + seconds * PATIENCE
    while True:
        try:
            answer = ask()
            if answer.status_code < 500 and answer.status_code != 429:
                return answer
            fault: object = f"{answer.status_code} {answer.text[:200]}"
        except requests.RequestException as error:
            fault = error
        assert time.monotonic() < end, f"no answer in {seconds} s: {fault}"
        time.sleep(0.1)
