"""What a plan file may say: every field of a plan, checked alone and together. Unknown fields are refused."""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any, get_args, get_type_hints

from marshmallow import Schema, ValidationError, fields, post_load, validate, validates_schema

from billing.core.calendar import MONTHS
from billing.core.commands import COMMANDS
from billing.core.lines import RULES
from billing.core.plans import Dunning, Rules, Terms

#: The words of the rulebook for how well a price is known; OWN is the operator's own price.
GRADES = ("SEED", "VENDOR", "SECOND", "DERIVED", "UNCONFIRMED", "OWN")
#: What a plan may limit.
CAPS = ("users", "collaborators", "open_boards", "projects", "storage_mb")
PAYMENT_METHODS = ("card", "bank_transfer")
#: The standings of `billing.core.classification` that a plan may give a rule of its own.
STANDINGS = ("deactivated", "member", "pending", "guest_free", "guest", "single_guest", "closed_only", "gone")
#: Fewer days than any month has: what is billed ahead of a period stays within the one before.
_LEAST_MONTH = 28
_MOST = 2**53

_ID = validate.Regexp(r"\A[a-z0-9]+(?:-[a-z0-9]+)*\Z", error="Must be small letters, digits and single hyphens.")
_RULE_ID = validate.Regexp(r"\A[A-Z]{1,8}-[0-9]{1,4}\Z", error="Must be a rule id such as TR-08.")
_CURRENCY = validate.Regexp(r"\A[A-Z]{3}\Z", error="Must be three capital letters, such as JPY.")
_TEXT = validate.Length(min=1, max=500)


class _Whole(fields.Integer):
    """A whole number written as one: `true`, `12.5` and `"12"` are not."""

    default_error_messages = {"invalid": "Must be a whole number."}  # noqa: RUF012 - marshmallow's own name and shape

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **more: Any) -> int:
        if type(value) is not int:
            raise self.make_error("invalid", input=value)
        return value


class _Rate(fields.Field[str]):
    """A tax rate as an exact fraction: `1/10`, `0.1` or `0`."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **more: Any) -> str:
        try:
            rate = Fraction(value) if type(value) in (str, int) else Fraction(-1)
        except (ValueError, ZeroDivisionError):
            rate = Fraction(-1)
        if not 0 <= rate < 1:
            raise ValidationError("Must be a fraction from 0 to below 1, such as 1/10.")
        return str(rate)


def _whole(least: int = 0, most: int = _MOST, **more: Any) -> _Whole:
    return _Whole(validate=validate.Range(min=least, max=most), **more)


def _word(kind: type, name: str, **more: Any) -> fields.String:
    """One of the words that the core's own field of that name may have."""
    return fields.String(validate=validate.OneOf(get_args(get_type_hints(kind)[name])), **more)


def _table(keys: tuple[str, ...], values: Any) -> fields.Dict:
    return fields.Dict(keys=fields.String(validate=validate.OneOf(keys)), values=values)


def _rule() -> fields.String:
    return fields.String(validate=_RULE_ID)


class DunningBlock(Schema):
    """`rules.dunning`: the fields of `billing.core.plans.Dunning`."""

    retry_days = fields.List(_whole(1, 366))
    grace_days = _whole(0, 366)
    grace_from = _word(Dunning, "grace_from")
    then = _word(Dunning, "then")
    close_days = _whole(0, 3660)

    @validates_schema
    def _in_order(self, data: Mapping[str, Any], **_: Any) -> None:
        days = data.get("retry_days", [])
        if sorted(set(days)) != days:
            raise ValidationError({"retry_days": ["Must rise from day to day."]})
        if 0 < data.get("close_days", 0) < data.get("grace_days", Dunning().grace_days):
            raise ValidationError({"close_days": ["Must not be before grace_days."]})


class RulesBlock(Schema):
    """`rules`: the fields of `billing.core.plans.Rules`; `methods` as payment method to intervals."""

    trial_days = _whole(0, 366)
    trial_end = _word(Rules, "trial_end")
    terms_required = fields.Boolean(truthy={True}, falsy={False})
    roles = fields.List(fields.String(validate=_TEXT), validate=validate.Length(min=1))
    role_rule = _rule()
    role_rules = _table(tuple(COMMANDS), _rule())
    intervals = fields.List(fields.String(validate=validate.OneOf(tuple(MONTHS))), validate=validate.Length(min=1))
    methods = _table(PAYMENT_METHODS, fields.List(fields.String(validate=validate.OneOf(tuple(MONTHS)))))
    lead_days = _table(PAYMENT_METHODS, _whole(0, 366))
    downgrade = _word(Rules, "downgrade")
    downgrade_rule = _rule()
    to_longer = _word(Rules, "to_longer")
    to_shorter = _word(Rules, "to_shorter")
    interval_rule = _rule()
    refund_days = _whole(0, 366)
    refund_rule = _rule()
    ends_in = _word(Rules, "ends_in")
    reopen = _word(Rules, "reopen")
    observed = _word(Rules, "observed")
    dunning = fields.Nested(DunningBlock)


class PriceBlock(Schema):
    """One dated price of a plan: minor units for one seat (licence, space) and one interval."""

    interval = fields.String(required=True, validate=validate.OneOf(tuple(MONTHS)))
    valid_from = fields.Date(required=True)
    unit_amount = _whole(required=True)
    grade = fields.String(required=True, validate=validate.OneOf(GRADES))
    source = fields.String(required=True, validate=_TEXT)


class PlanBlock(Schema):
    """One plan: the fields of `billing.core.plans.Terms` that its dated prices share."""

    plan = fields.String(required=True, validate=_ID)
    shape = _word(Terms, "shape", required=True)
    currency = fields.String(required=True, validate=_CURRENCY)
    proration = _word(Terms, "method", required=True)
    rounding = _word(Terms, "rounding", required=True)
    rank = _whole(0, 1000, required=True)
    guests_free = fields.Boolean(truthy={True}, falsy={False})
    closed_boards_count = fields.Boolean(truthy={True}, falsy={False})
    minimum = _whole(0, 1_000_000)
    pending_count = fields.Boolean(truthy={True}, falsy={False})
    auto_purchase = fields.Boolean(truthy={True}, falsy={False})
    tax_behavior = _word(Terms, "tax_behavior")
    tax_rate = _Rate()
    tax_rounding = _word(Terms, "tax_rounding")
    caps = _table(CAPS, _whole())
    cap_rules = _table((*CAPS, "minimum"), _rule())
    features = fields.List(fields.String(validate=_TEXT))
    seat_rules = _table(STANDINGS, _rule())
    line_rules = _table(tuple(RULES), fields.List(_rule(), validate=validate.Length(min=1)))
    rules = fields.Nested(RulesBlock)
    prices = fields.List(fields.Nested(PriceBlock), required=True, validate=validate.Length(min=1))

    @validates_schema(skip_on_field_errors=True)
    def _together(self, data: Mapping[str, Any], **_: Any) -> None:
        for fault in (*_price_faults(data), *_shape_faults(data), *_method_faults(data)):
            raise ValidationError(fault)

    @post_load
    def _pairs(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        """The intervals are those that have a price, where none are said; methods become pairs."""
        rules = data.get("rules", {})
        priced = sorted({price["interval"] for price in data["prices"]}, key=MONTHS.__getitem__)
        methods = [(method, interval) for method, named in rules.get("methods", {}).items() for interval in named]
        return data | {"rules": {"intervals": priced} | rules | {"methods": methods}}


class OptionBlock(Schema):
    """Something sold once (BL-27, BL-28). Its `unit_amount` may be null: known, but not for sale before it is set."""

    option = fields.String(required=True, validate=_ID)
    unit_amount = _whole(required=True, allow_none=True)
    currency = fields.String(required=True, validate=_CURRENCY)
    valid_from = fields.Date()
    tax_behavior = _word(Terms, "tax_behavior")
    tax_rate = _Rate()
    tax_rounding = _word(Terms, "tax_rounding")
    items = fields.List(fields.String(validate=_TEXT))
    line_rules = _table(("option",), fields.List(_rule(), validate=validate.Length(min=1)))
    grade = fields.String(required=True, validate=validate.OneOf(GRADES))
    source = fields.String(required=True, validate=_TEXT)


class FileBlock(Schema):
    """A whole file. `shared` holds blocks that plans take in by YAML's anchors and is not looked at by itself."""

    shared = fields.Raw()
    plans = fields.List(fields.Nested(PlanBlock), load_default=list)
    options = fields.List(fields.Nested(OptionBlock), load_default=list)

    @validates_schema(skip_on_field_errors=True)
    def _once(self, data: Mapping[str, Any], **_: Any) -> None:
        if not data["plans"] and not data["options"]:
            raise ValidationError("There is neither a plan nor an option.")
        for group, key in (("plans", "plan"), ("options", "option")):
            names = [item[key] for item in data[group]]
            for n, name in enumerate(names):
                if name in names[:n]:
                    raise ValidationError({group: {n: {key: [f"{name} is written twice."]}}})


def _price_faults(plan: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    seen = set()
    for n, price in enumerate(plan["prices"]):
        key = price["interval"], price["valid_from"]
        if key in seen:
            reason = f"There is another price by the {key[0]} from {key[1]}."
            yield {"prices": {n: {"valid_from": [reason]}}}
        seen.add(key)
        if plan["rank"] == 0 and price["unit_amount"]:
            yield {"prices": {n: {"unit_amount": ["A plan of rank 0 is free: it must be 0."]}}}


def _shape_faults(plan: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    shape = plan["shape"]
    if shape != "licences" and plan.get("auto_purchase"):
        yield {"auto_purchase": ["Only licences are bought: the shape must be licences."]}
    if shape == "flat" and plan.get("minimum", 0) > 1:
        yield {"minimum": ["A flat plan is billed once: it must be 0 or 1."]}
    if shape != "flat" and plan.get("rules", {}).get("lead_days"):
        reason = "Only a flat plan can be billed ahead: the quantity of others is known on the day only."
        yield {"rules": {"lead_days": [reason]}}


def _method_faults(plan: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    rules = plan.get("rules", {})
    priced = {price["interval"] for price in plan["prices"]}
    for n, interval in enumerate(rules.get("intervals", [])):
        if interval not in priced:
            yield {"rules": {"intervals": {n: [f"There is no price by the {interval}."]}}}
    for method, intervals in rules.get("methods", {}).items():
        for interval in intervals:
            if interval not in priced:
                yield {"rules": {"methods": {method: [f"There is no price by the {interval}."]}}}
    for method, days in rules.get("lead_days", {}).items():
        shortest = min(MONTHS[interval] for interval in rules.get("methods", {}).get(method) or priced)
        if days >= _LEAST_MONTH * shortest:
            yield {"rules": {"lead_days": {method: ["Must be shorter than the shortest interval."]}}}
