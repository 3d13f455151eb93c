"""Alive, ready, metrics, and the pages nobody wrote."""

import dataclasses
import json
from collections.abc import Callable

import pytest

from billing.settings import Settings
from billing.store import migrate
from service import health
from service.app import create_app
from tests.receiver.conftest import ADMIN_KEY, House, joined

AUTHORIZED = {"Authorization": f"Bearer {ADMIN_KEY}"}


def test_a_house_in_order_is_alive_and_ready(house: House) -> None:
    assert [house.send("GET", path).status for path in ("/healthz", "/readyz")] == [200, 200]


def test_without_its_database_it_is_alive_and_not_ready(settings: Settings) -> None:
    house = House(settings, create_app(dataclasses.replace(settings, database_url="postgresql://x@127.0.0.1:9/x")))

    answer = house.send("GET", "/readyz")

    assert (house.send("GET", "/healthz").status, answer.status) == (200, 503)
    assert json.loads(answer.body)["code"] == "not_ready"


def test_an_older_schema_is_not_ready_and_a_newer_one_is(house: House) -> None:
    house.run("UPDATE alembic_version SET version_num = '0000'")
    assert house.send("GET", "/readyz").status == 503
    house.run("UPDATE alembic_version SET version_num = '9999'")
    assert house.send("GET", "/readyz").status == 200
    house.run("DROP TABLE alembic_version")
    assert house.send("GET", "/readyz").status == 503


def test_the_newest_revision_is_the_migrations_own() -> None:
    assert health.newest_revision() == migrate.head()


def test_the_metrics_count_what_waits(house: House) -> None:
    house.post(joined())
    house.post(joined(member="member-mallory"))

    text = house.send("GET", "/metrics", headers=AUTHORIZED).body.decode()

    assert 'sekisu_deliveries{state="kept"} 1.0' in text
    assert 'sekisu_deliveries{state="quarantined"} 1.0' in text
    assert 'sekisu_alarms{kind="delivery_id_reused"} 1.0' in text
    assert "sekisu_unsettled_facts 0.0" in text
    assert "sekisu_oldest_kept_delivery_seconds 0.0\n" not in text


def test_the_metrics_count_unknown_actions_by_their_name(house: House) -> None:
    house.post(joined())
    house.run("UPDATE delivery SET action = 'unknown:voteOnMoon'")

    text = house.send("GET", "/metrics", headers=AUTHORIZED).body.decode()

    assert 'sekisu_unknown_actions{action="voteOnMoon"} 1.0' in text


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer no"}, {"Authorization": f"Basic {ADMIN_KEY}"}])
def test_the_metrics_are_for_the_admin_key(house: House, headers: dict[str, str]) -> None:
    assert house.send("GET", "/metrics", headers=headers).status == 401


def _failing() -> str:
    raise ValueError("secret words of ours")


@pytest.mark.parametrize(
    ("path", "status", "view"),
    [("/nowhere", 404, None), ("/webhooks/trello", 404, None), ("/broken", 500, _failing)],
)
def test_every_fault_is_a_problem_and_tells_no_secret(
    house: House, path: str, status: int, view: Callable[[], str] | None
) -> None:
    if view:
        house.app.add_url_rule(path, view_func=view)

    answer = house.send("GET", path)

    body = json.loads(answer.body)
    assert (answer.status, body["status"], answer.headers["Content-Type"]) == (
        status,
        status,
        "application/problem+json",
    )
    assert {"type", "title", "detail", "code"} <= body.keys()
    assert b"secret words" not in answer.body


def test_every_answer_has_the_safe_headers(house: House) -> None:
    for answer in (house.send("GET", "/healthz"), house.send("GET", "/nowhere"), house.post(joined(), {})):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
