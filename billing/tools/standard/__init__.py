"""The room of any tool that speaks Standard Webhooks with our own event types (contract.md).

A board never moves between workspaces here, and each of its events names the workspace. There is no endpoint to ask
for a roster: a customer imports one.
"""

from billing.tools.room import Ask
from billing.tools.standard.door import delivery_id, fingerprint, greet, sign, verify
from billing.tools.standard.events import read

SIGNED: bool = True
SHARED_BOARDS: bool = False

__all__ = [
    "SHARED_BOARDS",
    "SIGNED",
    "delivery_id",
    "fingerprint",
    "greet",
    "read",
    "sign",
    "snapshot_asks",
    "verify",
]


def snapshot_asks(workspace: str) -> tuple[Ask, ...]:
    """Nothing to ask."""
    return ()
