"""Every door that takes a POST, against everything that nobody sends by mistake alone."""

import itertools
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from billing.settings import Settings, fernet_keys
from service.app import create_app
from tests.contract import corpus, fuzzer, wire
from tests.contract.place import Place
from tests.flows.house import ADMIN_KEY, House

KEY = {"Authorization": f"Bearer {ADMIN_KEY}"}
#: Bytes of an answer: what a webhook's sender is ready to read, and what names fifty wrong fields.
SHORT, LONG = 2048, 16_384
CASES = corpus.cases()
_SENT: Counter[str] = Counter()


def routes() -> list[str]:
    """The path of every route that takes a POST, with its ids in braces."""
    rules = create_app(Settings(data_dir=Path(), secret_keys=fernet_keys("of no use"))).url_map.iter_rules()
    return sorted(
        re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule) for rule in rules if "POST" in (rule.methods or ())
    )


ROUTES = routes()
#: Those whose POST reads its body.
READING = {name.removeprefix("POST ") for name, told in fuzzer.described() if "requestBody" in told}


def filled(place: Place, route: str) -> str:
    """The route with ids that exist."""
    return re.sub(r"{(\w+)}", lambda found: place.ids[found[1]][0], route)


def rows(house: House) -> dict[str, int]:
    """How many rows each table has; the audit counts refusals, as it should."""
    tables = [row["tablename"] for row in house.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    each = " UNION ALL ".join(f"SELECT '{table}' AS name, count(*) AS n FROM {table}" for table in tables)  # noqa: S608
    return {row["name"]: row["n"] for row in house.sql(each) if not row["name"].startswith("audit")}


@pytest.fixture(scope="module")
def quiet(place: Place) -> Iterator[Place]:
    """The place, with nothing on its way: what is written from now on is the corpus's work."""
    for workspace in place.workspaces:
        place.customer.rest(workspace)
    place.house.ticker.stop()
    yield place
    place.house.ticker.start()


@pytest.mark.parametrize("route", ROUTES)
def test_a_hostile_body_is_refused_in_words_and_nothing_is_written(quiet: Place, route: str) -> None:
    path, reads = filled(quiet, route), route in READING
    before = rows(quiet.house)
    for case in CASES:
        headers = KEY | {"Content-Type": corpus.JSON} | case.headers
        answer = wire.post(quiet.house, path, case.body, headers, chunked=case.chunked)
        _SENT[route] += 1
        assert 200 <= answer.status < 500, (case.name, answer)
        assert answer.status >= 400 or not reads, (case.name, answer)
        if answer.status >= 400:
            refused(route, case.name, answer)
    assert rows(quiet.house) == before or not reads


def refused(route: str, name: str, answer: wire.Answer) -> None:
    """A refusal is a problem that says its code and status, and is no longer than it must be."""
    assert answer.kind == "application/problem+json", (route, name, answer)
    told = answer.told()
    assert told["status"] == answer.status, (route, name, answer)
    assert told["code"], (route, name, answer)
    assert len(answer.body) < (LONG if route.startswith("/v1/") else SHORT), (route, name, answer)


@pytest.mark.parametrize("route", [route for route in ROUTES if "{" in route])
def test_a_hostile_id_in_a_path_is_not_found(quiet: Place, route: str) -> None:
    names = re.findall(r"{(\w+)}", route)
    before = rows(quiet.house)
    for name, segment in itertools.product(names, corpus.SEGMENTS):
        path = filled(quiet, route.replace(f"{{{name}}}", segment))
        answer = wire.post(quiet.house, path, b"{}", KEY | {"Content-Type": corpus.JSON})
        assert 400 <= answer.status < 500, (path[:200], answer)
        if answer.body:
            refused(route, path[:200], answer)
    assert rows(quiet.house) == before


@pytest.mark.parametrize("route", ROUTES)
def test_an_enormous_head_or_broken_chunks_harm_nobody(quiet: Place, route: str) -> None:
    path = filled(quiet, route)
    kind = KEY | {"Content-Type": corpus.JSON}
    before = rows(quiet.house)
    heads = [
        wire.head("POST", path, kind | {"X-Kite": "k" * 900_000, "Content-Length": "2"}) + b"[]",
        wire.head("POST", path, kind | {f"X-Kite-{n}": "k" for n in range(2000)} | {"Content-Length": "2"}) + b"[]",
        wire.head("POST", path, kind | {"Content-Length": "-1"}),
        wire.head("POST", path, kind | {"Content-Length": "9" * 5000}),
        wire.head("POST", path, kind | {"Content-Length": "1, 2"}) + b"[]",
        wire.head("POST", path, kind | {"Content-Length": "2", "Transfer-Encoding": "chunked"}) + b"zz\r\n[]\r\n",
        wire.head("POST", path, kind | {"Transfer-Encoding": "chunked"}) + b"fffffffffffffffff\r\n[]\r\n0\r\n\r\n",
        wire.head("POST", path, kind | {"Transfer-Encoding": "gzip, chunked"}) + b"2\r\n[]\r\n0\r\n\r\n",
    ]
    for sent in heads:
        answer = wire.talk(quiet.house, sent)
        assert answer.status < 500, (sent[:300], answer)
    assert rows(quiet.house) == before
    assert wire.talk(quiet.house, wire.head("GET", "/healthz", {})).status == 200


def test_every_route_that_takes_a_post_has_met_the_whole_corpus() -> None:
    assert {f"POST {route}" for route in ROUTES} == {name for name in fuzzer.operations() if name.startswith("POST ")}
    assert Counter(dict.fromkeys(ROUTES, len(CASES))) == _SENT
