"""The room of Chatwork (チャットワーク).

Odd facts: there are three webhook events, all about messages; none tells who joined, left or became a contact. What
happens in a room is posted there as a system message, in tags that every member can type too, so such a message is
only a hint to read the room's members again: never a fact, never a charge. Who holds a licence (ライセンス) has no
endpoint at all and is imported. The signature carries no time, and there is no id of the event. A failed POST is not
sent again, an answer over 2,048 bytes counts as failed, and many failures switch the webhook off until a person
switches it on. The signature also stands in the query, but a room is given headers and body only.
"""

from billing.core.classification import Policy
from billing.tools.chatwork.door import delivery_id, fingerprint, greet, sign, verify
from billing.tools.chatwork.messages import read
from billing.tools.chatwork.snapshot import API, pull

SIGNED: bool = True
SHARED_BOARDS: bool = False
#: Who takes a seat on a Free contract: its users; contacts and room members are none (CW-01, CW-29).
SEATS: Policy = Policy(
    guests_free=True,
    names=(
        ("closed_only", "CW-29"),
        ("deactivated", "CW-06"),
        ("gone", "CW-20"),
        ("guest", "CW-29"),
        ("guest_free", "CW-29"),
        ("member", "CW-06"),
        ("pending", "CW-10"),
        ("single_guest", "CW-29"),
    ),
)
#: Whether its workspaces run no other vendor's plans.
OWN_PLANS: bool = True
#: Whose civil days its dates are (XX-14).
ZONE: str = "Asia/Tokyo"

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
