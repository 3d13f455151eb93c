"""GET /v1/workspaces/{id}/refunds."""

from tests.api.conftest import Caller, Story

JANUARY, MAY = "2025-01-15T00:00:00.000Z", "2025-05-01T00:00:00.000Z"
INSERT = """
INSERT INTO refund (id, workspace_id, charge_id, status, currency, amount, reason, reference, created_at)
VALUES (%s, %s, 'ch_1', %s, 'USD', %s, 'TR-26', %s, %s)
"""


def test_tr_26_refunds_are_told_with_the_charge_they_give_back_and_the_rule(story: Story) -> None:
    assert story.caller.get(f"{story.path}/refunds") == {"data": [], "next": None}
    story.house.run(INSERT, "rf_1", story.workspace, "succeeded", 11999, "px_1", JANUARY)
    story.house.run(INSERT, "rf_2", story.workspace, "queued", 8999, None, MAY)
    first, second = story.caller.get(f"{story.path}/refunds")["data"]
    assert first == {
        "id": "rf_1",
        "charge_id": "ch_1",
        "status": "succeeded",
        "currency": "USD",
        "amount": 11999,
        "reason": "TR-26",
        "reference": "px_1",
        "created_at": JANUARY,
    }
    assert (second["status"], second["reference"]) == ("queued", None)
    page = story.caller.get(f"{story.path}/refunds?limit=1")
    assert [row["id"] for row in page["data"]] == ["rf_1"]
    rest = story.caller.get(f"{story.path}/refunds?cursor={page['next']}")
    assert ([row["id"] for row in rest["data"]], rest["next"]) == (["rf_2"], None)
    known = story.caller.get(f"{story.path}/refunds?as_known_at={JANUARY}")["data"]
    assert [row["id"] for row in known] == ["rf_1"]
    assert story.caller.get(story.path)["pending"] == 3  # two charges and a refund that were not sent


def test_a_stranger_is_told_no_refunds(story: Story, stranger: Caller) -> None:
    stranger.get(f"{story.path}/refunds", 404)
