"""Runs a command of the product as a later version whose rules have changed.

A guest on one board costs a seat, and a seat bought within a period is charged for all of it.

python -m tests.flows.other_rules worker
"""

from dataclasses import replace
from fractions import Fraction

from billing.core import classification, lines, roster, statement
from billing.core.classification import ORDINARY, Policy, Standing, Verdict
from service.cli.main import main

_as_it_was = classification.classify


def classify(standing: Standing, policy: Policy = ORDINARY) -> Verdict:
    """The changed rule."""
    verdict = _as_it_was(standing, policy)
    return replace(verdict, billable=True) if verdict.rule == "TR-15" else verdict


if __name__ == "__main__":
    for module in (classification, roster, statement):
        module.classify = classify  # type: ignore[attr-defined]
    lines.share_left = lambda *_: Fraction(1)  # type: ignore[attr-defined]
    main()
