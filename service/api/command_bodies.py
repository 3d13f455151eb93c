"""What each command carries, and what it answers."""

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError, fields, validates_schema

from billing.core.calendar import MONTHS
from service.api.fields import MAX_INT, Day, Instant, Whole, flag, one_of, text

METHODS = ("card", "bank_transfer")


class Actor(Schema):
    """Who gives the command; where the roster knows another role of them, the roster's counts."""

    id = text(required=True)
    role = text(load_default=None, allow_none=True)


class Command(Schema):
    """Every command says who gives it, and may name the quote it follows."""

    actor = fields.Nested(Actor, required=True)
    quote_id = text(load_default=None, allow_none=True)


class Opening(Schema):
    """Seats already paid for elsewhere: posted, never charged. `unit_amount` is minor units a seat and period."""

    seats = Whole(required=True)
    paid_from = Day(required=True)
    paid_to = Day(required=True)
    unit_amount = Whole(required=True)


class Start(Command):
    """A subscription start at the workspace's now. `licences` where the plan sells them (CW-07); `auto_purchase`: buy
    licences by itself when more people come than there are, a setting outside the vendor's plan."""

    plan = text(required=True)
    interval = text(required=True)
    payment_method = one_of(*METHODS, load_default=None, allow_none=True)
    licences = Whole(least=1)
    auto_purchase = flag(load_default=False)
    opening = fields.Nested(Opening, load_default=None, allow_none=True)


class StartTrial(Command):
    """A free trial. `terms_version`: the terms of service accepted (BL-25); a card on file is optional (BL-07)."""

    plan = text(required=True)
    interval = text()
    payment_method = one_of(*METHODS, load_default=None, allow_none=True)
    terms_version = text(load_default=None, allow_none=True)
    terms_url = text(2000, load_default=None, allow_none=True)
    terms_accepted_at = Instant(load_default=None, allow_none=True)


class Register(Command):
    """Formal registration 正式登録: how to pay and for which term, `interval` or `months` (BL-07, BL-19)."""

    payment_method = one_of(*METHODS, load_default=None, allow_none=True)
    interval = one_of(*MONTHS)
    months = Whole(least=1)
    plan = text()


class Licences(Command):
    """Licences bought or given up: exactly one of `add`, `remove`, or the signed `delta`."""

    add = Whole(least=1)
    remove = Whole(least=1)
    delta = Whole(least=-MAX_INT)

    @validates_schema
    def one_number(self, data: Mapping[str, Any], **_: object) -> None:
        """Raises ValidationError unless exactly one number is given, and not 0."""
        given = [name for name in ("add", "remove", "delta") if data.get(name)]
        if len(given) != 1:
            raise ValidationError("Give exactly one of add, remove or delta, and not 0.", "add")


class ChangePlan(Command):
    """Another plan; from the Free plan it is a start, which takes what a start takes (BL-14)."""

    plan = text(required=True)
    interval = text()
    payment_method = one_of(*METHODS, load_default=None, allow_none=True)
    licences = Whole(least=1)


class ChangeInterval(Command):
    """Another interval of the same plan."""

    interval = text(required=True)


class ChangeMethod(Command):
    """Another way to pay; with `interval` where (method, interval) pairs are sold (BL-19)."""

    payment_method = one_of(*METHODS, required=True)
    interval = text()


class Plain(Command):
    """A command that carries nothing more."""


class Migrate(Command):
    """A contract moved `into` another workspace of the account and tool: its id or external id (CW-16)."""

    into = text(required=True)


class OrderOption(Command):
    """An option of the catalogue, such as custom-checklist or security-check-sheets (BL-27, BL-28)."""

    option = text(required=True)


class LateVerdict(Command):
    """Facts older than the re-rating window that shall move money from their own instant on (law 10)."""

    facts = fields.List(text(), required=True)


class Rerate(Command):
    """Price period `n` by the catalogue as it is now (law 3); a quote of this command is its dry run."""

    subscription = text()
    n = Whole(required=True)


#: What each command carries, by the name it has in a quote and in the audit.
BODIES: Mapping[str, type[Command]] = {
    "subscription": Start,
    "trial": StartTrial,
    "registration": Register,
    "licences": Licences,
    "plan-change": ChangePlan,
    "interval-change": ChangeInterval,
    "payment-method": ChangeMethod,
    "cancellation": Plain,
    "refund": Plain,
    "migration": Migrate,
    "option": OrderOption,
    "late-facts": LateVerdict,
    "rerate": Rerate,
}


class Period(Schema):
    """A stretch of paid time, the end not in it."""

    start = Instant(required=True)
    end = Instant(required=True)


class Subscription(Schema):
    """How the workspace's subscription stands after a command."""

    id = fields.String(required=True, allow_none=True)
    command_id = fields.String(required=True)
    plan = fields.String(required=True, allow_none=True)
    price_id = fields.String(required=True, allow_none=True)
    unit_amount = fields.Integer(required=True, allow_none=True)
    currency = fields.String(required=True, allow_none=True)
    interval = fields.String(required=True, allow_none=True)
    payment_method = fields.String(required=True, allow_none=True)
    licences = fields.Integer(required=True, allow_none=True)
    anchor = Day(required=True, allow_none=True)
    period = fields.Nested(Period, required=True, allow_none=True)
    trial_end = Instant(required=True, allow_none=True)
    ends_at = Instant(required=True, allow_none=True)
    next_plan = fields.String(required=True, allow_none=True)
    next_interval = fields.String(required=True, allow_none=True)
    state = fields.String(required=True)
    items = fields.List(fields.String(), required=True)
    warnings = fields.List(fields.String(), required=True)
