"""A fact of a board moves everybody on it: written together, they stand as if each had been told alone."""

from tests.workers.world import World, at
from workers.verifying import check

GUESTS = 120


def test_a_board_of_many_guests_is_closed_and_reopened_and_everybody_stands_as_the_replay_says(world: World) -> None:
    workspace = world.workspace("w1")
    for board, day in (("staying", "2025-01-10"), ("moving", "2025-01-11")):
        for n in range(GUESTS):
            world.tell("board.member_added", "w1", f"guest{n}", at(day), board)
    world.read_and_settle()
    world.start(workspace)
    for kind, day, billable in (("closed", "2025-01-20", 1), ("reopened", "2025-01-25", GUESTS + 2)):
        world.advance(at(day), workspace)
        world.tell("member.joined", "w1", f"new {kind}", at(day))
        world.tell(f"board.{kind}", "w1", None, at(day), "moving")
        world.read_and_settle()
        assert world.row("SELECT count(*) AS n FROM member WHERE billable")["n"] == billable
        assert world.row("SELECT count(*) AS n FROM span WHERE end_at IS NULL")["n"] == billable
        with world.database.transaction("test") as connection:
            assert check(connection, workspace) == ([], 0)
