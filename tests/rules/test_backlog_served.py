"""Backlog's rules in the running service: spaces and their ids, entitlements, documents, options, failed cards."""

import hashlib
import io
import zipfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from billing.core.errors import ConflictError, RefusedError
from billing.payments.sandbox import Sandbox
from billing.settings import Settings, fernet_keys
from billing.store import accounts, catalogue, planfile, views
from billing.store import documents as store
from billing.store.db import many
from service import api, problem
from tests.api.conftest import Bell, Caller
from tests.papers.desk import texts
from tests.papers.mailroom import Mailroom
from tests.rules.office import CARD, HANA, SORA, Office
from tests.rules.space import ZONE, jst
from workers import documents, mailing
from workers.papers import kept

OPERATOR = {"id": "ops", "role": "operator"}
OWN_PRICE = """\
options:
  - {option: custom-checklist, unit_amount: 50000, currency: JPY, grade: OWN, source: our price list}
"""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as made:
        yield made


@pytest.fixture
def office(database_url: str, sandbox: Sandbox) -> Iterator[Office]:
    """An office on 1 April 2026, 10 o'clock in Japan."""
    made = Office(database_url, "2026-04-01T10:00", sandbox)
    yield made
    made.fault("decline", 0)
    made.close()


@pytest.fixture
def caller(office: Office, database_url: str, tmp_path: Path) -> Caller:
    """Somebody with an admin key, at the API's door."""
    settings = Settings(
        data_dir=tmp_path, database_url=database_url, api_key="sekisu_pretend", secret_keys=fernet_keys("pretend")
    )
    app = Flask("tested", static_folder=None)
    problem.register(app)
    api.register(app, settings, office.world.database, Bell())
    return Caller(app, "sekisu_pretend")


@pytest.fixture
def mailroom() -> Iterator[Mailroom]:
    made = Mailroom()
    made.open()
    yield made
    made.close()


def test_bl_03_a_trial_takes_the_space_id_and_sets_the_storage_allowance(office: Office) -> None:
    space = office.tried("yuzu")
    assert office.shown(space)["caps"]["storage_mb"] == 30 * 1024
    assert asked_by_another_account(office, "yuzu") == "BL-03"
    with pytest.raises(ConflictError), office.world.database.transaction("test") as connection:
        views.insert_workspace(connection, "default", new_space("yuzu"))


def new_space(name: str) -> dict[str, Any]:
    told = {"tool": "backlog", "external_id": name, "name": name, "connection_id": None}
    return told | {"time_zone": ZONE, "clock_id": None, "collect": "live"}


def asked_by_another_account(office: Office, name: str) -> str:
    """The rule that refuses a space with that id to another account, which may well have another one."""
    with office.world.database.transaction("test") as connection:
        other = accounts.insert(connection, "another", None)["id"]
        views.insert_workspace(connection, other, new_space(f"{name}-2"))
        with pytest.raises(RefusedError) as refusal:
            views.insert_workspace(connection, other, new_space(name))
        count = "SELECT count(*) AS n FROM workspace WHERE external_id = %s"
        assert many(connection, count, (name,)) == [{"n": 1}]
    return str(refusal.value.rule)


def test_bl_09_every_function_of_the_plan_works_in_the_trial(office: Office) -> None:
    space = office.tried(plan="backlog-premium")
    shown = office.shown(space)
    assert (shown["state"], shown["plan"]) == ("trialing", "backlog-premium")
    assert shown["caps"] == {"storage_mb": 100 * 1024}
    assert "custom_fields" in shown["features"]
    paid = office.space("paid")
    office.give(paid, "subscription", plan="backlog-premium", **CARD)
    assert {**office.shown(paid), "state": "trialing"} == shown


def test_bl_10_the_fifth_trial_by_the_same_mail_address_is_as_free_as_the_first(office: Office) -> None:
    spaces = [office.tried(f"yuzu-{number}") for number in range(1, 6)]
    assert {office.state(space) for space in spaces} == {"trialing"}
    office.to("2026-05-01", *spaces)
    assert {office.state(space) for space in spaces} == {"expired"}
    assert [office.charged(space) for space in spaces] == [[]] * 5


def test_bl_11_the_id_of_a_trial_that_ended_unregistered_stays_reserved(office: Office) -> None:
    space = office.tried("acme")
    office.to("2026-05-01", space)
    assert office.state(space) == "expired"
    assert office.refused(space, "trial", HANA, plan="backlog-standard", terms_version="v12") == "BL-11"
    assert office.refused(space, "subscription", plan="backlog-standard", **CARD) == "BL-11"
    with pytest.raises(ConflictError), office.world.database.transaction("test") as connection:
        views.insert_workspace(connection, "default", new_space("acme"))
    assert asked_by_another_account(office, "acme") == "BL-11"
    assert office.charged(space) == []


def test_a_18_only_an_operator_reopens_an_expired_space_and_it_is_charged_at_once(office: Office) -> None:
    space = office.tried()
    office.to("2026-05-10", space)
    asked = {"plan": "backlog-standard", **CARD}
    assert office.refused(space, "registration", HANA, **asked) == "BL-15"
    assert office.refused(space, "registration", SORA, **asked) == "BL-15"
    office.give(space, "registration", OPERATOR, **asked)
    assert office.state(space) == "active"
    assert office.charged(space) == [("2026-05-10", "queued", 17_600, 1_600)]


def test_bl_13_what_was_entered_in_the_trial_is_there_after_registration(office: Office) -> None:
    space = office.tried("yuzu")
    boards = {f"p{number}" for number in range(1, 4)}
    office.members(space, [{"id": f"u{n:03d}", "role": "normal", "boards": sorted(boards)} for n in range(1, 121)])
    before = office.shown(space)["counts"]
    assert before == {"users": 120, "collaborators": 120, "open_boards": 3}
    office.give(space, "registration", **CARD)
    office.to("2026-05-01", space)
    assert (office.state(space), office.shown(space)["counts"]) == ("active", before)
    named = office.world.rows("SELECT id, external_id FROM workspace")
    assert named == [{"id": space, "external_id": "yuzu"}]


def test_bl_20_one_charge_is_one_pdf_is_one_mail_to_the_contract_administrator(
    office: Office, mailroom: Mailroom
) -> None:
    space = office.tried()
    office.contact(space)
    office.give(space, "registration", payment_method="bank_transfer", interval="3-months")
    for _ in range(2):
        assert len(office.papers(space)) == 1
        mailing.send_due(office.world.database, mailroom.address())
    (message,) = mailroom.arrived
    assert mailroom.to == [HANA["id"]]
    (attached,) = message.iter_attachments()
    assert attached.get_content_type() == "application/pdf"
    assert "52,800" in "".join(texts(attached.get_content()))


def test_bl_21_a_card_customer_gets_a_receipt_for_what_was_paid(office: Office) -> None:
    space = office.tried()
    office.give(space, "registration", **CARD)
    office.world.advance(jst("2026-05-01"), space)
    assert office.charged(space) == [("2026-05-01", "queued", 17_600, 1_600)]
    assert office.papers(space) == []
    office.send(space)
    (receipt,) = office.papers(space)
    assert (receipt["kind"], receipt["amount"], receipt["tax"]) == ("receipt", 17_600, 1_600)
    assert receipt["content"]["supplied"] == {"from": "2026-05-01", "to": "2026-05-31"}


def test_bl_22_a_bank_customer_is_invoiced_at_registration_and_gets_a_receipt_only_on_request(office: Office) -> None:
    space = office.tried()
    office.to("2026-04-20", space)
    office.give(space, "registration", payment_method="bank_transfer", interval="year")
    (invoice,) = office.papers(space)
    assert (invoice["kind"], invoice["amount"], invoice["tax"]) == ("invoice", 211_200, 19_200)
    assert (invoice["content"]["issued_on"], str(invoice["due_on"])) == ("2026-04-20", "2026-05-01")
    assert invoice["content"]["supplied"] == {"from": "2026-05-01", "to": "2027-04-30"}
    office.send(space)
    assert [paper["kind"] for paper in office.papers(space)] == ["invoice"]
    with office.world.database.transaction("test") as connection:
        asked = store.get(connection, None, documents.receipt(connection, None, invoice["charge_id"]))
    assert (asked["kind"], asked["amount"], asked["tax"]) == ("receipt", 211_200, 19_200)


def test_bl_23_the_download_has_the_very_bytes_of_the_mail_and_only_the_account_may_fetch_it(
    office: Office, mailroom: Mailroom, caller: Caller
) -> None:
    space = office.tried()
    office.contact(space)
    office.give(space, "registration", payment_method="bank_transfer", interval="3-months")
    (invoice,) = office.papers(space)
    path = f"/v1/documents/{invoice['id']}.pdf"
    downloaded = caller.call("GET", path).data
    mailing.send_due(office.world.database, mailroom.address())
    (attached,) = mailroom.arrived[0].iter_attachments()
    mailed = attached.get_content()
    assert hashlib.sha256(downloaded).digest() == hashlib.sha256(mailed).digest()
    with office.world.database.transaction("test") as connection:
        assert kept.pdf(connection, invoice) == downloaded
    account = caller.post("/v1/accounts", {"name": "another"})["id"]
    stranger = Caller(caller.app, caller.post("/v1/keys", {"account_id": account})["key"])
    stranger.get(path, 404)


def test_bl_24_a_document_is_never_sent_on_paper(office: Office, caller: Caller) -> None:
    space = office.tried()
    office.contact(space)
    office.give(space, "registration", payment_method="bank_transfer", interval="3-months")
    (invoice,) = office.papers(space)
    mails = office.world.rows("SELECT id FROM mail")
    told = caller.post(f"/v1/documents/{invoice['id']}/send", {"by": "post"}, 409)
    assert told["rule"] == "BL-24"
    assert (office.world.rows("SELECT id FROM mail"), len(office.charged(space))) == (mails, 1)


def test_bl_26_which_terms_of_service_were_accepted_and_when_is_recorded_for_ever(office: Office) -> None:
    space = office.space()
    terms = "https://yuzu.example/terms/v12"
    office.trial(space, terms_url=terms, terms_accepted_at=jst("2026-04-01T10:00"))
    office.to("2028-04-01", space)
    (row,) = office.world.rows("SELECT data FROM fact WHERE workspace_id = %s", space)
    assert (row["data"]["terms_version"], row["data"]["terms_url"]) == ("v12", terms)
    assert datetime.fromisoformat(row["data"]["terms_accepted_at"]) == jst("2026-04-01T10:00")
    assert row["data"]["applicant"] == HANA["id"]


def test_bl_27_one_request_gives_both_security_sheets_for_nothing_and_without_registration(
    office: Office, caller: Caller
) -> None:
    answer = caller.call("GET", "/v1/security-sheets.zip")
    with zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
        pages = ["".join(texts(archive.read(name))) for name in sorted(archive.namelist())]
    assert len(pages) == 2
    assert "クラウドサービスレベルのチェックリスト" in pages[0]
    assert "安全なウェブサイトの作り方" in pages[1]
    space = office.tried()
    ordered = office.give(space, "option", HANA, option="security-check-sheets")
    assert len(ordered["fact"].data["terms"]["features"]) == 2
    assert (office.state(space), office.charged(space)) == ("trialing", [])


def test_bl_28_answering_a_customers_own_check_list_costs_what_the_operator_sets(
    office: Office, tmp_path: Path
) -> None:
    space = office.space()
    office.give(space, "subscription", plan="backlog-standard", **CARD)
    assert office.refused(space, "option", option="custom-checklist") == "BL-28"
    (tmp_path / "ours.yaml").write_text(OWN_PRICE)
    with office.world.database.transaction("test") as connection:
        catalogue.load(connection, planfile.wanted(tmp_path))
    office.give(space, "option", option="custom-checklist")
    assert [charge[2:] for charge in office.charged(space)] == [(17_600, 1_600), (55_000, 5_000)]


def test_b_21_a_change_of_how_to_pay_waits_until_the_open_bill_is_paid(office: Office) -> None:
    space = office.tried()
    office.give(space, "registration", payment_method="bank_transfer", interval="3-months")
    assert [charge[2] for charge in office.charged(space)] == [52_800]
    office.fault("pending")
    office.to("2026-05-10", space)
    assert office.refused(space, "payment-method", **CARD) == "B-21"
    office.world.rows("UPDATE charge SET due_at = now() RETURNING id")
    office.send(space)
    assert office.charged(space)[0][1] == "succeeded"
    assert office.refused(space, "payment-method", {"id": "ren", "role": "admin"}, **CARD) == "B-21"
    office.give(space, "payment-method", **CARD)
    office.to("2026-07-31", space)
    assert [charge[:1] + charge[2:3] for charge in office.charged(space)] == [
        ("2026-04-01", 52_800),
        ("2026-07-31", 17_600),
    ]


def test_b_24_a_declined_renewal_is_retried_by_the_customer_within_two_weeks(office: Office) -> None:
    spaces = [office.tried("paid-late"), office.tried("never-paid")]
    for space in spaces:
        office.give(space, "registration", **CARD)
    office.to("2026-05-01", *spaces)
    office.fault("decline", 2)
    office.to("2026-05-31", *spaces)
    assert [office.charged(space)[-1][:3] for space in spaces] == [("2026-05-31", "failed", 17_600)] * 2
    office.to("2026-06-01T23:59", *spaces)
    assert [office.state(space) for space in spaces] == ["past_due", "past_due"]
    office.to("2026-06-02", *spaces)
    assert [office.state(space) for space in spaces] == ["suspended", "suspended"]
    office.to("2026-06-14T12:00", *spaces)
    late, never = spaces
    office.give(late, "payment-method", payment_method="card")
    office.send(late)
    assert (office.state(late), office.charged(late)[-1][1]) == ("active", "succeeded")
    office.to("2026-06-15", *spaces)
    assert [office.state(space) for space in spaces] == ["active", "closed"]
    assert owed(office, never) == [17_600, 0]
    with pytest.raises(ConflictError):
        office.give(never, "payment-method", payment_method="card")


def owed(office: Office, space: str) -> list[int]:
    rows = office.world.rows("SELECT amount FROM line WHERE workspace_id = %s ORDER BY instant", space)
    return [row["amount"] for row in rows]


def test_b_25_contract_administrators_are_who_the_roster_says_one_or_more(office: Office) -> None:
    space = office.tried()
    office.members(
        space,
        [
            {"id": "aki", "role": "contract_admin"},
            {"id": "ren", "role": "contract_admin"},
            {"id": "mio", "role": "admin"},
        ],
    )
    assert office.refused(space, "registration", {"id": "mio", "role": "contract_admin"}, **CARD) == "BL-17"
    office.give(space, "registration", {"id": "aki", "role": "normal"}, **CARD)
    office.give(space, "cancellation", {"id": "ren"})
    office.to("2026-05-01", space)
    assert (office.state(space), office.charged(space)) == ("expired", [])
