"""A workspace with charges put straight into the tables, and the documents that come of them."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from itertools import count

import pypdfium2
from psycopg.types.json import Jsonb

from billing.core import calendar
from billing.store import documents as store
from billing.store.db import Database, Row, many
from billing.store.ids import new_id
from workers import documents

ISSUER = {
    "name": "株式会社ひだまり商店",
    "address": "〒150-0001\n東京都渋谷区神宮前9丁目99番99号",
    "registration_number": "T7120001168421",
    "bank_account": "みなと銀行 本店営業部 普通 1234567",
}
RECIPIENT = {"name": "合同会社すずらん設計"}
_numbers = count(1)


def at(text: str) -> datetime:
    """An instant from `2026-05-01T00:00`, UTC."""
    return calendar.read(f"{text}Z")


class Desk:
    """One account that issues, one workspace that is billed, at the clock's instant."""

    def __init__(self, url: str, now: str = "2026-04-20T03:00", zone: str = "Asia/Tokyo") -> None:
        self.database = Database(url, size=4)
        self.workspace = new_id("ws")
        self.clock = new_id("ck")
        self.run("UPDATE account SET name = 'Hidamari', issuer = %s, recipient = %s", *map(Jsonb, (ISSUER, RECIPIENT)))
        self.run("INSERT INTO clock (id, account_id, now) VALUES (%s, 'default', %s)", self.clock, at(now))
        self.run(
            """INSERT INTO workspace (id, account_id, tool, external_id, name, time_zone, clock_id, chain_head)
               VALUES (%s, 'default', 'standard', %s, 'すずらんスペース', %s, %s, '\\xabcdef')""",
            *(self.workspace, self.workspace, zone, self.clock),
        )

    def run(self, statement: str, *values: object) -> list[Row]:
        with self.database.transaction("test") as connection:
            cursor = connection.execute(statement.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def contact(self, email: str | None, language: str = "ja") -> None:
        told = Jsonb({"name": "鈴木 蘭", "email": email, "language": language}) if email else None
        self.run("UPDATE workspace SET billing_contact = %s WHERE id = %s", told, self.workspace)

    def advance(self, to: str) -> None:
        self.run("UPDATE clock SET now = %s WHERE id = %s", at(to), self.clock)

    def charge(
        self,
        *amounts: int,
        method: str | None = "bank_transfer",
        status: str = "queued",
        asked: int | None = None,
        tax: tuple[str, str, str] = ("1/10", "inclusive", "floor"),
        credit: int = 0,
        currency: str = "JPY",
        created: str = "2026-04-20T03:00",
        held_reason: str | None = None,
        workspace: str | None = None,
    ) -> str:
        """A charge of lines of `amounts`; `asked` is its amount with tax, where that is not their sum."""
        charge_id, subscription = new_id("ch"), new_id("sub")
        owner = workspace or self.workspace
        self.run(
            """INSERT INTO charge (id, workspace_id, subscription_id, n, purpose, nth, status, held_reason, currency,
                                   amount, credit, method, due_on, created_at, tax_rate, tax_behavior, tax_rounding,
                                   document_due)
               VALUES (%s, %s, %s, 0, 'period', 1, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, true)""",
            *(charge_id, owner, subscription, status, held_reason, currency),
            *(sum(amounts) - credit if asked is None else asked, credit, method, date(2026, 4, 30), at(created), *tax),
        )
        self.run(
            """INSERT INTO period (subscription_id, n, workspace_id, start_at, end_at, terms)
               VALUES (%s, 0, %s, %s, %s, '{"plan": "backlog-standard"}')""",
            *(subscription, owner, at("2026-04-30T15:00"), at("2026-07-31T15:00")),
        )
        for number, amount in enumerate(amounts):
            self.line(charge_id, subscription, amount, currency, number)
        return charge_id

    def line(self, charge_id: str, subscription: str, amount: int, currency: str, number: int = 0) -> str:
        key, entry, seq = f"{subscription}/{number}", new_id("en"), next(_numbers)
        instant = at("2026-04-30T15:00") + timedelta(hours=number)
        kind = "period" if number == 0 else "seats_added"
        self.run(
            """INSERT INTO entry (workspace_id, seq, id, key, subscription_id, n, kind, instant, unit_amount, seats,
                                  fraction, line_amount, amount, currency, method, rounding, rules, facts, posted_at,
                                  heard_at)
               VALUES (%s, %s, %s, %s, %s, 0, %s, %s, %s, 1, '1', %s, %s, %s, 'months_days', 'floor', %s, '{}', %s,
                       %s)""",
            *(self.workspace, seq, entry, key, subscription, kind, instant, amount, amount, amount, currency),
            *(["BL-19"], instant, instant),
        )
        self.run(
            "INSERT INTO charge_line (charge_id, workspace_id, key, entry_id, amount) VALUES (%s, %s, %s, %s, %s)",
            *(charge_id, self.workspace, key, entry, amount),
        )
        return key

    def status(self, charge_id: str, status: str) -> None:
        self.run("UPDATE charge SET status = %s, document_due = true WHERE id = %s", status, charge_id)

    def take_back(self, charge_id: str, *amounts: int) -> None:
        """Of each line in turn, so much more is taken off since it was sent."""
        keys = self.run("SELECT key FROM charge_line WHERE charge_id = %s ORDER BY key", charge_id)
        for row, amount in zip(keys, amounts, strict=False):
            query = "UPDATE charge_line SET reduced = reduced + %s WHERE charge_id = %s AND key = %s"
            self.run(query, amount, charge_id, row["key"])
        with self.database.transaction("test") as connection:
            store.flag(connection, charge_id)

    def issue(self) -> list[Row]:
        """What is due now, issued: whole rows in the order of issue."""
        with self.database.transaction("test") as connection:
            ids = documents.issue_due(connection, self.workspace)
            return [store.get(connection, None, one_id) for one_id in ids]

    def documents(self) -> list[Row]:
        return self.run("SELECT * FROM document ORDER BY id")

    def rows(self, table: str) -> Sequence[Row]:
        with self.database.transaction("test") as connection:
            return many(connection, f"SELECT * FROM {table}")  # noqa: S608 - a table the test names


def texts(pdf: bytes) -> list[str]:
    """What is written on each page, without the places to break a word."""
    opened = pypdfium2.PdfDocument(pdf)
    try:
        return [page.get_textpage().get_text_range().replace("\u200b", "").replace("\ufffe", "") for page in opened]
    finally:
        opened.close()
