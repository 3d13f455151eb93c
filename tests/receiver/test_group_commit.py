"""One committer per process: what waits together is committed together, and nobody pays for a neighbour."""

import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from billing.core.errors import UnavailableError
from billing.store import inbox
from billing.store.db import Conn
from billing.store.ids import new_id
from billing.store.inbox import Delivery, Outcome
from service.receiver.committer import Committer

Together = Callable[[list[Any]], list[Any]]


def delivery(delivery_id: str = "action-1", fingerprint: str = "aa", **other: Any) -> Delivery:
    given = {"id": new_id("dl"), "connection_id": "con-1", "sha256": "bb", "headers": "{}", "body": b"{}"} | other
    return Delivery(delivery_id=delivery_id, fingerprint=fingerprint, **given)


@pytest.fixture
def rows(database_url: str) -> Iterator[Callable[[str], list[Any]]]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield lambda query: connection.execute(query.encode()).fetchall()


class Keeper:
    """Keeps as the inbox does, writes down the size of each batch, and waits at the gate first."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.gate = threading.Event()
        self.entered = threading.Event()

    def __call__(self, connection: Conn, deliveries: list[Delivery]) -> list[Outcome]:
        self.entered.set()
        assert self.gate.wait(10)
        self.sizes.append(len(deliveries))
        return inbox.keep(connection, deliveries)


def _all_at_once(committer: Committer, keeper: Keeper, deliveries: list[Delivery]) -> list[Any]:
    """What became of each, when all wait behind one commit that is under way."""
    answers: dict[str, Any] = {}

    def keep(one: Delivery) -> None:
        try:
            answers[one.id] = committer.keep(one)
        except UnavailableError as fault:
            answers[one.id] = fault

    first = threading.Thread(target=keep, args=(delivery("action-first"),))
    first.start()
    assert keeper.entered.wait(10)
    threads = [threading.Thread(target=keep, args=(one,)) for one in deliveries]
    for thread in threads:
        thread.start()
    _await(lambda: committer._line.waiting() == len(deliveries))
    keeper.gate.set()
    for thread in [first, *threads]:
        thread.join(10)
    return [answers[one.id] for one in deliveries]


def _await(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the state that was waited for did not come"
        time.sleep(0.005)


def test_what_waits_together_is_one_commit(database_url: str, rows: Callable[[str], list[Any]]) -> None:
    keeper = Keeper()
    some = [delivery(f"action-{number}") for number in range(40)]

    assert _all_at_once(Committer(database_url, keep=keeper), keeper, some) == ["kept"] * 40

    assert keeper.sizes == [1, 40]
    assert rows("SELECT count(DISTINCT received_at), count(*) FROM delivery") == [(2, 41)]


def test_duplicates_and_impostors_in_one_batch_get_their_own_answers(
    database_url: str, rows: Callable[[str], list[Any]]
) -> None:
    keeper = Keeper()
    some = [delivery(), delivery(), delivery(fingerprint="zz"), delivery(fingerprint="zz"), delivery("action-2")]

    answers = _all_at_once(Committer(database_url, keep=keeper), keeper, some)

    assert sorted(answers) == ["impostor", "impostor", "kept", "kept", "known"]
    assert answers[4] == "kept"
    assert rows("SELECT count(*) FILTER (WHERE state = 'quarantined'), count(*) FROM delivery") == [(1, 4)]
    assert rows("SELECT count(*) FROM alarm") == [(1,)]


@pytest.mark.parametrize("poison", [{"headers": '{"a":"\\u0000"}'}, {"sha256": "a\0b"}])
def test_a_row_that_cannot_be_stored_does_not_cost_its_neighbours_their_commit(
    database_url: str, rows: Callable[[str], list[Any]], poison: dict[str, Any]
) -> None:
    keeper = Keeper()
    some = [delivery(f"action-{number}") for number in range(9)]
    some[4] = delivery("action-poison", **poison)

    answers = _all_at_once(Committer(database_url, keep=keeper), keeper, some)

    assert isinstance(answers[4], UnavailableError)
    assert answers[:4] + answers[5:] == ["kept"] * 8
    assert rows("SELECT count(*) FROM delivery_body") == [(9,)]


def test_bodies_of_one_commit_are_bounded(database_url: str) -> None:
    keeper = Keeper()
    some = [delivery(f"action-{number}", body=bytes(1_500_000)) for number in range(6)]

    assert _all_at_once(Committer(database_url, patience=20, keep=keeper), keeper, some) == ["kept"] * 6
    assert keeper.sizes == [1, 3, 3]


def test_a_request_waits_no_longer_than_its_patience(database_url: str) -> None:
    keeper = Keeper()
    committer = Committer(database_url, patience=0.2, keep=keeper)

    began = time.monotonic()
    with pytest.raises(UnavailableError):
        committer.keep(delivery())
    assert time.monotonic() - began < 1

    keeper.gate.set()
    _await(lambda: keeper.sizes == [1])
    assert committer.keep(delivery()) == "known"


def test_what_gave_up_before_its_batch_is_not_committed_any_more(database_url: str) -> None:
    keeper = Keeper()
    committer = Committer(database_url, patience=0.2, keep=keeper)
    some = [threading.Thread(target=_tired, args=(committer, delivery(f"action-{number}"))) for number in range(3)]
    for thread in some:
        thread.start()
        assert keeper.entered.wait(10)
    for thread in some:
        thread.join()

    keeper.gate.set()
    assert committer.keep(delivery("action-9")) == "kept"

    assert sum(keeper.sizes) == 2


def _tired(committer: Committer, one: Delivery) -> None:
    with pytest.raises(UnavailableError):
        committer.keep(one)


def test_the_committer_finds_the_database_again(
    database_url: str, superuser_url: str, rows: Callable[[str], list[Any]]
) -> None:
    committer = Committer(database_url)
    committer.keep(delivery("action-1"))

    with psycopg.connect(superuser_url, autocommit=True) as superuser:
        ended = superuser.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND query LIKE '%%WITH sent%%'",
            (database_url.rpartition("/")[2],),
        ).fetchall()

    assert ended == [(True,)]
    assert committer.keep(delivery("action-2")) == "kept"
    assert rows("SELECT count(*) FROM delivery") == [(2,)]


def test_without_a_database_the_answer_comes_at_once_and_is_unavailable() -> None:
    committer = Committer("postgresql://sekisu@127.0.0.1:9/none")

    began = time.monotonic()
    with pytest.raises(UnavailableError):
        committer.keep(delivery())
    assert time.monotonic() - began < 1.5


def _in_a_child(committer: Committer, answers: Any) -> None:
    answers.put(committer.keep(delivery("action-child")))


def test_a_forked_process_gets_a_committer_of_its_own(database_url: str, rows: Callable[[str], list[Any]]) -> None:
    committer = Committer(database_url)
    committer.keep(delivery("action-parent"))
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    child = context.Process(target=_in_a_child, args=(committer, answers))

    child.start()
    answer = answers.get(timeout=20)
    child.join(10)

    assert answer == "kept"
    assert committer.keep(delivery("action-child")) == "known"


def _hammer(database_url: str, gate: Any, answers: Any) -> None:
    committer = Committer(database_url, patience=20)
    gate.wait(20)
    found: list[str] = []
    some = [delivery(f"action-{number % 5}") for number in range(34)]
    threads = [threading.Thread(target=lambda one=one: found.append(committer.keep(one))) for one in some]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    answers.put(found)


def test_a_hundred_parallel_deliveries_over_three_processes_make_one_row_each(
    database_url: str, rows: Callable[[str], list[Any]]
) -> None:
    context = multiprocessing.get_context("fork")
    gate, answers = context.Barrier(3), context.Queue()
    children = [context.Process(target=_hammer, args=(database_url, gate, answers)) for _ in range(3)]
    for child in children:
        child.start()
    found = [answers.get(timeout=30) for _ in children]
    for child in children:
        child.join(10)

    outcomes = [outcome for some in found for outcome in some]
    assert len(outcomes) == 102
    assert (outcomes.count("kept"), outcomes.count("known")) == (5, 97)
    assert rows("SELECT count(*) FROM delivery") == [(5,)]
    assert rows("SELECT count(*) FROM delivery_body") == [(5,)]
