"""Statement, ledger, facts, charges, explanations: TR-10 as the API tells it."""

from tests.api.conftest import Story

JANUARY, APRIL = "2025-01-15T00:00:00.000Z", "2025-04-15T00:00:00.000Z"
LINE = {
    *("key", "kind", "instant", "description", "seats", "unit_amount", "fraction", "amount", "rules", "entry_id"),
    "currency",
}


def test_the_statement_is_what_is_owed_line_by_line(story: Story) -> None:
    told = story.caller.get(f"{story.path}/statement")
    assert told["next"] is None
    first, second = told["data"]
    assert first.keys() == second.keys() == LINE
    assert (first["kind"], first["instant"], first["amount"], first["fraction"]) == ("period", JANUARY, 11999, "1")
    assert (second["kind"], second["instant"], second["amount"]) == ("seats_added", APRIL, 8999)
    assert (second["seats"], second["unit_amount"], second["fraction"]) == (1, 11999, "3/4")
    assert second["rules"] == ["TR-08", "XX-02"]
    assert "1 seat added" in second["description"]


def test_the_ledger_sums_to_the_statement_key_by_key(story: Story) -> None:
    owed = {line["key"]: line for line in story.caller.get(f"{story.path}/statement")["data"]}
    entries = story.caller.get(f"{story.path}/ledger")["data"]
    assert {entry["key"]: entry["amount"] for entry in entries} == {key: line["amount"] for key, line in owed.items()}
    assert [entry["entry_id"] for entry in entries] == [line["entry_id"] for line in owed.values()]
    assert entries[0].keys() == LINE | {"posted_at", "heard_at"}
    assert [entry["heard_at"] for entry in entries] == [JANUARY, APRIL]


def test_a_late_fact_posts_a_difference_and_both_times_are_told(story: Story) -> None:
    story.advance("2025-05-01T00:00:00.000Z")
    story.roster("aoi", "ren", at="2025-03-15T00:00:00.000Z")
    by_instant = [(line["instant"], line["amount"]) for line in story.caller.get(f"{story.path}/statement")["data"]]
    assert by_instant == [(JANUARY, 11999), ("2025-03-15T00:00:00.000Z", 9999)]
    entries = story.caller.get(f"{story.path}/ledger")["data"]
    assert sorted(entry["amount"] for entry in entries) == [-8999, 8999, 9999, 11999]
    assert entries[-1]["heard_at"] == "2025-05-01T00:00:00.000Z"


def test_the_books_are_told_as_they_were_known_earlier(story: Story) -> None:
    story.advance("2025-05-01T00:00:00.000Z")
    story.roster("aoi", "ren", at="2025-03-15T00:00:00.000Z")
    known = story.caller.get(f"{story.path}/statement?as_known_at={APRIL}")["data"]
    assert [(line["instant"], line["amount"]) for line in known] == [(JANUARY, 11999), (APRIL, 8999)]
    ledger = story.caller.get(f"{story.path}/ledger?as_known_at={APRIL}")["data"]
    assert [line["entry_id"] for line in known] == [entry["entry_id"] for entry in ledger]
    earlier = "2025-02-01T00:00:00Z"
    lines = story.caller.get(f"{story.path}/statement?as_known_at={earlier}")["data"]
    assert [line["amount"] for line in lines] == [11999]
    facts = story.caller.get(f"{story.path}/facts?as_known_at={earlier}")["data"]
    assert [fact["kind"] for fact in facts] == ["member.joined", "subscription.started"]
    assert len(story.caller.get(f"{story.path}/charges?as_known_at={earlier}")["data"]) == 1
    before = "2024-12-01T00:00:00Z"
    assert story.caller.get(f"{story.path}/statement?as_known_at={before}")["data"] == []


def test_facts_are_told_with_both_times(story: Story) -> None:
    facts = story.caller.get(f"{story.path}/facts")["data"]
    assert [fact["kind"] for fact in facts] == ["member.joined", "subscription.started", "member.joined"]
    assert [fact["member"] for fact in facts] == ["aoi", None, "ren"]
    assert (facts[2]["at"], facts[2]["heard_at"], facts[2]["source"]) == (APRIL, APRIL, "roster")
    names = {"id", "kind", "at", "heard_at", "source", "source_id", "member", "board", "delivery_id"}
    assert facts[0].keys() == names


def test_a_charge_asks_for_its_lines_and_tells_its_attempts(story: Story) -> None:
    first, second = story.caller.get(f"{story.path}/charges")["data"]
    assert (first["amount"], second["amount"], second["currency"], second["tax"]) == (11999, 8999, "USD", 0)
    assert [line["amount"] for line in second["lines"]] == [8999]
    assert second["lines"][0].keys() == LINE
    assert second["attempts"] == []
    story.house.run(
        "INSERT INTO attempt (charge_id, n, key, outcome, posts, at) VALUES (%s, 1, %s, 'succeeded', 2, %s)",
        *(second["id"], f"{second['id']}.1", APRIL),
    )
    told = story.caller.get(f"/v1/charges/{second['id']}")
    (attempt,) = told["attempts"]
    assert (attempt["n"], attempt["key"], attempt["outcome"], attempt["at"]) == (
        *(1, f"{second['id']}.1", "succeeded", APRIL),
    )
    assert told["reference"] is None
    story.caller.get("/v1/charges/ch_none", 404)


def test_an_explanation_is_readable_in_japanese_as_it_comes_over_the_wire(story: Story) -> None:
    entry = story.caller.get(f"{story.path}/ledger")["data"][0]
    answer = story.caller.call("GET", f"/v1/ledger/{entry['entry_id']}/explanation")
    assert "席" in answer.get_data(as_text=True)


def test_an_explanation_holds_the_whole_arithmetic_and_the_facts(story: Story) -> None:
    entry = story.caller.get(f"{story.path}/ledger")["data"][1]
    told = story.caller.get(f"/v1/ledger/{entry['entry_id']}/explanation")
    wanted = {
        "entry_id": entry["entry_id"],
        "key": entry["key"],
        "at": APRIL,
        "heard_at": APRIL,
        "seats": 1,
        "unit_amount": 11999,
        "currency": "USD",
        "method": "months_days",
        "fraction": "3/4",
        "exact": "35997/4",
        "rounding": "half_up",
        "amount": 8999,
        "rules": ["TR-08", "XX-02"],
    }
    assert {name: told[name] for name in wanted} == wanted
    fact = story.caller.get(f"{story.path}/facts")["data"][2]
    assert told["facts"] == [fact]
    assert "$89.99" in told["text"]["en"]
    assert "$89.99" in told["text"]["ja"]
    story.caller.get("/v1/ledger/en_none/explanation", 404)


def test_an_instant_that_is_none_is_422(story: Story) -> None:
    for part in ("statement", "ledger", "facts", "charges", "documents"):
        told = story.caller.get(f"{story.path}/{part}?as_known_at=march", 422)
        assert "as_known_at" in told["errors"]
