"""Law 3 for the program itself: a new version says of old lives, to the last field, what the one before it said.

Each life is told by its seed. A change that is meant gets new digests: `python -m tests.core.test_told_lives`. What a
life comes to stands beside its digest, so that the difference can be read, and not only seen.
"""

from hashlib import sha256
from pathlib import Path

import pytest

from billing.core.plans import Shape
from tests.core.lives import Told, live
from tests.core.offers import SHAPES

TOLD = Path(__file__).with_name("told_lives.txt")
SEEDS = range(20)


def whole(told: Told) -> str:
    """Everything the core said of a life: verdicts, course, roster, lines, and what became of the money."""
    memory, till = told.memory, told.till
    parts: list[object] = [(one.command, type(one.answer).__name__, str(one.answer)) for one in told.judged]
    parts += [memory.course, memory.position, told.owed(), sorted(memory.step.items())]
    parts += [*sorted(memory.members.items()), *sorted(memory.board_heads.items())]
    parts += sorted((span.member, span.start, span.end, span.fact_id) for span in memory.spans)
    parts += [sorted(till.entries.items()), till.credit, till.collected, till.refunded]
    for now in sorted({fact.at for fact in told.plan.facts}):
        parts += [told.plan.course(now)]
    return "\n".join(map(repr, parts))


def entry(shape: Shape, seed: int) -> str:
    """A life on one line: its name, what it came to, and the digest of all that was said."""
    told = live(shape, seed, 14, 18)
    owed, state = told.owed(), told.memory.course.state
    digest = sha256(whole(told).encode()).hexdigest()[:16]
    return f"{shape} {seed}: {state}, {len(owed)} lines, {sum(line.amount for line in owed)}, {digest}"


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", SEEDS)
def test_law_3_this_version_says_of_an_old_life_what_the_last_one_said(shape: Shape, seed: int) -> None:
    assert entry(shape, seed) in TOLD.read_text(encoding="utf-8").splitlines()


if __name__ == "__main__":
    TOLD.write_text("".join(f"{entry(shape, seed)}\n" for seed in SEEDS for shape in SHAPES), encoding="utf-8")
