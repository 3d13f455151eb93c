"""`python -m tests.overload`: ten times the capacity for 60 s, and what became of it. `--short`: as in CI."""

import sys

from tests.overload.measure import FULL, SHORT, measure


def main() -> int:
    """Exit code 0 when all that was accepted is stored, settled and billed, and the quiet tenant was always served."""
    found = measure(SHORT if "--short" in sys.argv else FULL, lambda text: print(text, file=sys.stderr, flush=True))
    print(found.told())
    good = found.accepted == found.stored == found.settled == found.billed and set(found.quiet_statuses) == {200}
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
