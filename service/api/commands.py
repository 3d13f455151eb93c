"""What people command: each is judged once, by the rules of its plan; a refusal names the rule and is kept."""

from collections.abc import Callable
from typing import Any

from billing.core import calendar
from billing.core.course import Course
from billing.core.errors import RefusedError
from billing.store import subscriptions, views
from billing.store.db import savepoint
from service.api import command_bodies as bodies
from service.api import here
from service.api.resource import Resource
from service.problem import request_id
from workers import commands

COMMANDS = Resource(
    "commands",
    "Commands: trial, registration, subscription, licences and what changes or ends them.",
    scope="commands",
)


def _route(path: str, command: str, told: str) -> Callable[..., Any]:
    """Declare one command's route."""

    def view(body: dict[str, Any], workspace_id: str) -> dict[str, Any]:
        return _give(workspace_id, command, body)

    view.__name__ = command.replace("-", "_")
    view.__doc__ = told
    given = bodies.BODIES[command]
    declared: Callable[..., Any] = COMMANDS.post(f"/workspaces/<workspace_id>/{path}", bodies.Subscription, given)(view)
    return declared


def _give(workspace_id: str, command: str, body: dict[str, Any]) -> dict[str, Any]:
    views.require(here.connection(), here.scope(), workspace_id)
    collect = here.house().settings.collect
    actor = body.pop("actor") | {"key_id": here.caller().key_id, "request_id": request_id()}
    here.afterwards(here.house().bell.send)
    try:
        with savepoint(here.connection()):
            made = commands.give(here.connection(), collect, workspace_id, command, body, actor)
    except RefusedError as refusal:
        commands.refused(here.connection(), workspace_id, command, body, actor, refusal)
        raise
    return _told(made)


def _told(made: dict[str, Any]) -> dict[str, Any]:
    """The subscription as it stands after a command."""
    course: Course = made["course"]
    workspace, fact = made["workspace"], made["fact"]
    trial = course.trial
    last = course.at(workspace["now"]) or (course.stretches[-1] if course.running else None)
    terms = (trial.registered or trial.terms) if trial else course.terms
    if last is not None and not trial:
        pins = subscriptions.pins(here.connection(), workspace["id"])
        switched = [one.terms for one in course.switches if one.key == last.key]
        terms = switched[-1] if switched else pins[last.key]
    return {
        "id": trial.subscription if trial else course.subscription or fact.data.get("subscription"),
        "command_id": made["id"],
        "plan": terms.plan if terms else None,
        "price_id": terms.price_id if terms else None,
        "unit_amount": terms.unit_amount if terms else None,
        "currency": terms.currency if terms else None,
        "interval": terms.interval if terms else None,
        "payment_method": trial.method if trial else course.method,
        "licences": workspace["purchased"] if terms and terms.shape == "licences" and course.running else None,
        "anchor": last.period.anchor if last else None,
        "period": _period(course, workspace),
        "trial_end": trial.end if trial else None,
        "ends_at": course.cancel_at,
        "next_plan": course.next_terms.plan if course.next_terms else None,
        "next_interval": course.next_terms.interval if course.next_terms else None,
        "state": course.state,
        "items": list(fact.data["terms"]["features"]) if fact.kind == "option.ordered" else [],
        "warnings": made["warnings"],
    }


def _period(course: Course, workspace: dict[str, Any]) -> dict[str, Any] | None:
    if course.trial is not None:
        return {"start": course.trial.started_at, "end": course.trial.end}
    last = course.at(workspace["now"]) or (course.stretches[-1] if course.running else None)
    if last is None:
        return None
    # Time paid for elsewhere began before the command did.
    begins = calendar.midnight(last.period.first, last.period.zone) if last.elsewhere else last.opens
    return {"start": begins, "end": last.period.end}


start_subscription = _route(
    "subscription", "subscription", "Start a subscription; the first charge is for everyone who is billable now."
)
start_trial = _route("trial", "trial", "Start a free trial.")
register = _route("registration", "registration", "Register a trial formally (正式登録).")
change_licences = _route("licences", "licences", "Buy licences, or give some up.")
change_plan = _route("plan-change", "plan-change", "Change the plan, up at once or down at renewal.")
change_interval = _route("interval-change", "interval-change", "Change the interval.")
change_method = _route("payment-method", "payment-method", "Change how it is paid.")
cancel = _route("cancellation", "cancellation", "Cancel at the end of the paid period.")
ask_refund = _route("refund", "refund", "Ask for a refund, where the plan has one (TR-26).")
migrate = _route("migration", "migration", "Move a lone user's contract into another (CW-16).")
order_option = _route("options", "option", "Order an option.")
accept_late = _route("late-facts", "late-facts", "Let old facts move money from their own instant.")
rerate = _route("rerate", "rerate", "Price an opened period anew; quote it first (command rerate).")
