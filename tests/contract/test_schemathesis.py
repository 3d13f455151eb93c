"""The whole of openapi.yaml, called with good and bad data: nothing breaks, and every answer is one it tells of.

SEKISU_SCHEMATHESIS_SECONDS says for how long (CI: 180), SEKISU_SCHEMATHESIS_SEED with which cases.
"""

import pytest

from tests.contract import fuzzer
from tests.contract.place import Place
from tests.flows.house import wait

pytestmark = pytest.mark.timeout(fuzzer.SECONDS + 300)
#: Calls below which a run says little of what lies behind the first refusal: the machine had other work.
ENOUGH = 2000


@pytest.fixture(scope="module")
def found(place: Place, tmp_path_factory: pytest.TempPathFactory) -> fuzzer.Found:
    """One run over every operation."""
    return fuzzer.fuzz(place, tmp_path_factory.mktemp("schemathesis"))


def test_no_call_breaks_the_service_and_every_answer_is_documented(found: fuzzer.Found) -> None:
    assert found.code == 0, found.text


def test_every_operation_was_called(found: fuzzer.Found) -> None:
    assert set(fuzzer.operations()) <= set(found.answers)


def test_the_calls_reach_what_exists(found: fuzzer.Found) -> None:
    if found.calls < ENOUGH:
        pytest.skip(f"{found.calls} calls in {fuzzer.SECONDS} s")
    done = {name for name, answers in found.answers.items() if any(200 <= status < 300 for status in answers)}
    reading = {name for name in fuzzer.operations() if name.startswith(("GET", "HEAD", "DELETE"))}
    assert reading - done == set()
    assert len(done) >= len(fuzzer.operations()) * 0.75


def test_the_workers_can_work_on_whatever_was_accepted(found: fuzzer.Found, place: Place) -> None:
    waiting = "SELECT count(*) FROM delivery WHERE state = 'kept'", "SELECT count(*) FROM fact WHERE settled_at IS NULL"
    wait(lambda: not any(place.house.count(query) for query in waiting), 120)
    assert found.calls
    assert "Traceback" not in place.house.worker.log.read_text()
