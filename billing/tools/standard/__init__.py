"""The room of any tool that speaks Standard Webhooks with our own event types (contract.md).

A board never moves between workspaces here, and each of its events names the workspace. There is no endpoint to ask
for a roster: a customer imports one.
"""

from billing.core.classification import ORDINARY, Policy
from billing.tools.standard.door import delivery_id, fingerprint, greet, sign, verify
from billing.tools.standard.events import read
from billing.tools.standard.snapshot import API, pull

SIGNED: bool = True
SHARED_BOARDS: bool = False
#: Who takes a seat before a plan says so.
SEATS: Policy = ORDINARY
#: Whether its workspaces run no other vendor's plans.
OWN_PLANS: bool = False
#: Whose civil days its dates are (XX-14).
ZONE: str = "UTC"

__all__ = [
    "API",
    "OWN_PLANS",
    "SEATS",
    "SHARED_BOARDS",
    "SIGNED",
    "ZONE",
    "delivery_id",
    "fingerprint",
    "greet",
    "pull",
    "read",
    "sign",
    "verify",
]
