"""Who sends too much is told to come again; whoever sends as little as ever notices nothing of it."""

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from billing.settings import Settings
from service import limits
from service.app import create_app
from service.limits import BURST, MOST, SLOTS, Buckets, slot
from service.receiver import turnstile
from tests.receiver.conftest import ADMIN_KEY, OTHER_SECRET, SECRET, House, joined

ALLOWED, FEW = 20, 5


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's names and forgers get five requests at once and then one in two seconds."""
    monkeypatch.setattr(turnstile, "FORGED_RATE", FEW / BURST)
    monkeypatch.setattr(limits, "STRANGER_RATE", FEW / BURST)


@pytest.fixture
def limited(settings: Settings) -> Iterator[House]:
    """A house whose connections and keys may send 20 requests at once and then 2 a second; `con-1` is one of them."""
    few = replace(settings, web_processes=1, rate_connection=2, rate_key=2)
    made = House(few, create_app(few, lambda: made.at))
    made.connect()
    yield made
    made.app.extensions["sekisu"]["db"].close()


def _statuses(house: House, count: int, connection: str = "con-1") -> list[int]:
    path = f"trello/{connection}"
    return [house.post(joined(f"{connection}-{number}"), path=path).status for number in range(count)]


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    clock = Clock()
    buckets = Buckets(2, clock=clock)

    def took() -> int:
        count = 0
        while not buckets.wait("a"):
            buckets.take("a")
            count += 1
        return count

    assert took() == 2 * BURST
    assert 0 < buckets.wait("a") <= 0.5
    assert buckets.wait("b") == 0
    clock.now += 3
    assert took() == 6
    clock.now += 1000
    assert took() == 2 * BURST


def test_a_rate_of_zero_limits_nothing_and_a_tiny_one_still_lets_one_through() -> None:
    unlimited, tiny = Buckets(0, clock=Clock()), Buckets(0.001, clock=Clock())
    for _ in range(1000):
        unlimited.take("a")
    assert unlimited.wait("a") == 0
    assert tiny.wait("a") == 0
    tiny.take("a")
    assert tiny.wait("a") == pytest.approx(1000)


def test_buckets_are_bounded_and_those_in_use_are_the_last_to_go() -> None:
    clock = Clock()
    buckets = Buckets(1, clock=clock)
    for number in range(MOST):
        buckets.take(number)
    clock.now += 5
    for _ in range(9):
        buckets.take(MOST - 1)
    assert buckets._full_at[MOST - 1] > clock.now + 8
    buckets.take("one more")  # the others are full again by now
    assert set(buckets._full_at) == {MOST - 1, "one more"}
    for number in range(3 * MOST):
        buckets.take(f"later-{number}")
    assert len(buckets._full_at) <= MOST


def test_a_connection_above_its_rate_is_429_before_anything_is_kept(limited: House) -> None:
    assert _statuses(limited, ALLOWED) == [200] * ALLOWED

    answer = limited.post(joined("one-too-many"))

    assert answer.status == 429
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert json.loads(answer.body)["code"] == "too_many_requests"
    assert len(limited.deliveries()) == ALLOWED


def test_other_connections_notice_nothing_of_a_crowd(limited: House) -> None:
    limited.connect("con-2")

    assert 429 in _statuses(limited, 2 * ALLOWED)

    assert _statuses(limited, ALLOWED, "con-2") == [200] * ALLOWED


def test_a_forger_cannot_use_up_what_the_genuine_sender_may_send(limited: House) -> None:
    forged = {limited.post(joined(), {"X-Trello-Webhook": "no"}).status for _ in range(2 * ALLOWED)}

    assert forged == {401, 429}
    assert _statuses(limited, ALLOWED) == [200] * ALLOWED


def test_forged_requests_in_a_swarm_do_not_ask_the_database(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    connections = house.app.extensions["sekisu"]["door"].connections
    asked: list[str] = []
    ask = connections._ask
    monkeypatch.setattr(connections, "_ask", lambda name: asked.append(name) or ask(name))

    for _ in range(200):
        house.post(joined(), {"X-Trello-Webhook": "no"})

    assert FEW <= len(asked) < 50


def test_a_secret_rotated_in_a_swarm_of_forgeries_is_told_to_come_again_never_forged(house: House) -> None:
    while house.post(joined(), {"X-Trello-Webhook": "no"}).status == 401:
        pass
    house.run("UPDATE connection SET secrets = %s", [house.settings.vault.encrypt(OTHER_SECRET.encode())])

    signed = house.sign(joined("rotated"), secret=OTHER_SECRET)
    answers = {house.post(joined("rotated"), signed).status for _ in range(3)}

    assert answers <= {200, 429}
    assert SECRET != OTHER_SECRET


def test_ids_that_nobody_has_are_429_in_a_swarm_and_a_known_connection_is_served(house: House) -> None:
    assert house.post(joined("first")).status == 200
    name = "con-none"
    while slot(name) == slot("con-1"):
        name += "x"

    answers = [house.post(joined(), {}, f"trello/{name}").status for _ in range(4 * FEW)]

    assert answers[0] == 404
    assert answers[-1] == 429
    assert house.post(joined("second")).status == 200


def test_a_known_connection_shares_its_slot_with_nobody(house: House) -> None:
    assert house.post(joined("first")).status == 200
    twin = next(f"con-x{n}" for n in range(100 * SLOTS) if slot(f"con-x{n}") == slot("con-1"))

    answers = {house.post(joined(), {}, f"trello/{twin}").status for _ in range(4 * FEW)}

    assert answers == {404, 429}
    assert house.post(joined("second")).status == 200


def test_the_memory_for_unknown_ids_does_not_grow_with_them(house: House) -> None:
    door = house.app.extensions["sekisu"]["door"]
    for number in range(2000):
        door.turnstile.nobody(f"con-{number}")
    assert len(door.turnstile._unknown._full_at) <= SLOTS


def _call(house: House, key: str, path: str = "/v1/workspaces") -> int:
    return house.send("GET", path, headers={"Authorization": f"Bearer {key}"}).status


def test_a_key_above_its_rate_is_429_and_another_key_is_served(limited: House) -> None:
    answers = [_call(limited, ADMIN_KEY) for _ in range(ALLOWED + 10)]
    assert answers[:ALLOWED] == [200] * ALLOWED
    assert answers[-1] == 429
    assert limited.send("GET", "/v1/workspaces", headers={"Authorization": f"Bearer {ADMIN_KEY}"}).headers[
        "Retry-After"
    ]

    other = limited.app.extensions["sekisu"]["settings"]
    assert other.api_key == ADMIN_KEY
    assert _call(limited, "sekisu_unknown") == 401
    assert limited.send("GET", "/healthz").status == 200


def test_unknown_keys_are_429_in_a_swarm_and_a_known_key_is_served(house: House) -> None:
    assert _call(house, ADMIN_KEY) == 200

    answers = [_call(house, "sekisu_nobody") for _ in range(4 * FEW)]

    assert answers[0] == 401
    assert answers[-1] == 429
    assert _call(house, ADMIN_KEY) == 200


def test_a_key_is_only_remembered_once_it_proved_to_be_one(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Buckets] = []

    class Told(Buckets):
        def __init__(self, *given: object, **more: object) -> None:
            super().__init__(*given, **more)  # type: ignore[arg-type]
            made.append(self)

    monkeypatch.setattr(limits, "Buckets", Told)
    again = House(house.settings, create_app(house.settings, lambda: again.at))
    keys = made[-2]
    for path in ("/v1/workspaces", "/v1/nowhere", "/docs"):
        for number in range(20):
            _call(again, f"sekisu_{number}", path)
    assert len(keys._full_at) == 0
    assert _call(again, ADMIN_KEY) == 200
    assert len(keys._full_at) == 1
    again.app.extensions["sekisu"]["db"].close()
