"""Price lists of the three seat shapes, with every rule of a plan turned one way or the other."""

from collections.abc import Mapping
from dataclasses import replace
from random import Random

from billing.core.calendar import MONTHS
from billing.core.plans import Dunning, Rules, Shape, Terms

Prices = Mapping[tuple[str, str], Terms]
SHAPES: tuple[Shape, ...] = ("auto_seats", "licences", "flat")
#: The ranks of the plans on every price list.
RANKS = {"free": 0, "small": 1, "large": 2}

_PAIRS = (("card", "month"), ("card", "year"), ("bank_transfer", "3-months"), ("bank_transfer", "year"))


def offered(random: Random, shape: Shape) -> Prices:
    """The price list of one tool: a free plan and two to pay for, by the interval."""
    flat = shape == "flat"
    intervals = ("month", "3-months", "year") if flat else ("month", "year")
    rules = _rules(random, shape, intervals)
    base = Terms(
        price_id="price",
        plan="small",
        interval="month",
        currency="JPY",
        unit_amount=random.choice([840, 999, 1250]),
        method=random.choice(["months_days", "actual_days", "thirty_360", "seconds"]),
        rounding=random.choice(["half_up", "floor"]),
        shape=shape,
        guests_free=random.random() < 0.3,
        pending_count=random.random() < 0.3,
        minimum=random.choice([0, 1, 3]),
        auto_purchase=shape == "licences" and random.random() < 0.4,
        tax_behavior=random.choice(["exclusive", "inclusive"]),
        tax_rate=random.choice(["0", "1/10", "1/10"]),
        rules=rules,
    )
    return {
        (plan, interval): replace(
            base,
            price_id=f"{plan}-{interval}",
            plan=plan,
            interval=interval,
            rank=rank,
            unit_amount=rank * base.unit_amount * (10 if interval == "year" else MONTHS[interval]),
        )
        for plan, rank in RANKS.items()
        for interval in intervals
    }


def steep(prices: Prices) -> Prices:
    """The price list with one plan more, dearer than `large` by just what that is dearer than `small`."""
    above = {
        ("huge", interval): replace(
            terms,
            price_id=f"huge-{interval}",
            plan="huge",
            rank=3,
            unit_amount=2 * terms.unit_amount - prices["small", interval].unit_amount,
        )
        for (plan, interval), terms in prices.items()
        if plan == "large"
    }
    return {**prices, **above}


def _rules(random: Random, shape: Shape, intervals: tuple[str, ...]) -> Rules:
    flat = shape == "flat"
    return Rules(
        trial_days=random.choice([14, 30]),
        trial_end=random.choice(["to_free", "convert_if_method", "expire_unless_registered"]),
        terms_required=flat,
        roles=("admin",),
        intervals=intervals,
        methods=_PAIRS if flat else (),
        lead_days={"card": 1, "bank_transfer": 30} if flat else {},
        downgrade=random.choice(["at_renewal", "refused"]),
        to_longer=random.choice(["credited", "forfeited", "at_renewal"]),
        to_shorter=random.choice(["refused", "at_renewal"]),
        refund_days=random.choice([0, 30, 30]),
        ends_in=random.choice(["free", "closed"]),
        dunning=random.choice(
            [
                Dunning(),
                Dunning((1, 2, 3, 4), 14, "failure", "suspended", 0),
                Dunning((), 1, "renewal", "suspended", 14),
                Dunning((3, 20), 5, "failure", "suspended", 40),
                Dunning((2,), 5, "renewal", "free", 0),
            ]
        ),
    )
