"""The room of Backlog (バックログ).

Odd facts: Backlog cannot sign, so an unguessable address is all that vouches for a delivery, and no secret of a
connection is ever looked at. A webhook belongs to a project (プロジェクト) and never names its space (スペース): the
workspace is the one of the connection, so a connection serves one space. A seat is a user of the space, and nobody
tells when one joins it, leaves it or gets another role there; types 15 and 16 tell of projects only, 25 and 26 of a
team without its members. Each of them is also a hint to read the lists again. A space has one flat price: what a
forged delivery can move is a count that is checked against a cap, not money (BL-04). The settings page's execution
test (実行テスト) sends a canned body. Times have whole seconds, so the activity's number tells what came first.
"""

from billing.core.classification import Policy
from billing.tools.backlog.activities import read
from billing.tools.backlog.door import delivery_id, fingerprint, greet, sign, verify
from billing.tools.backlog.snapshot import API, pull

SIGNED: bool = False
SHARED_BOARDS: bool = False
#: People are counted against caps and never priced, whatever they are in the space (BL-04).
SEATS: Policy = Policy(
    names=tuple(
        (word, "BL-04")
        for word in ("closed_only", "deactivated", "gone", "guest", "guest_free", "member", "pending", "single_guest")
    )
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
