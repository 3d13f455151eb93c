"""The embedded payment endpoint: speaks the outbound protocol over HTTP, moves no money, and can be told to misbehave.

`python -m billing.payments.sandbox --port P --data-dir D`, or `with Sandbox(port=0) as sandbox: sandbox.url`.
"""

from billing.payments.sandbox.server import Sandbox

__all__ = ["Sandbox"]
