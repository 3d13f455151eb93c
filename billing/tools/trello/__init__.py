"""The room of Trello.

Odd facts: the webhook signs the callback URL given at registration, not the one a proxy shows. It carries no time, so
an old delivery can be replayed for ever: only `action.id` tells. A guest needs a webhook on the board; a workspace's
own webhook does not hear who is added to its boards. With both, one action arrives twice with one `action.id`. An
invitation by e-mail names the inviter only. A board is closed by `updateBoard`; no action says that one was deleted.
Answering 410 deletes the webhook. The shapes of `deactivated*` and `reactivated*` are inferred: nobody published one.
"""

from billing.core.classification import ORDINARY, Policy
from billing.tools.trello.actions import read
from billing.tools.trello.door import delivery_id, fingerprint, greet, sign, verify
from billing.tools.trello.snapshot import API, pull

SIGNED: bool = True
SHARED_BOARDS: bool = True
#: Who takes a seat before a plan says so.
SEATS: Policy = ORDINARY
#: Whether its workspaces run no other vendor's plans.
OWN_PLANS: bool = True
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
