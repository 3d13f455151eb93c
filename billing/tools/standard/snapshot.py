"""No endpoint to ask: a customer imports a roster."""

from collections.abc import Mapping

from billing.tools.room import Api, Ask, Refusal, Scope, Step

API: Api | None = None


def pull(scope: Scope, answers: Mapping[Ask, object]) -> Step:
    """Nothing to ask: see `billing.tools.room.Room`."""
    return Refusal("the tool has no endpoint for rosters; import one")
