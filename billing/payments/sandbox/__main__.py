"""`python -m billing.payments.sandbox`: the sandbox as a process of its own, until SIGTERM or SIGINT."""

import argparse
import os
import signal
import threading
from pathlib import Path

from billing.payments.sandbox.server import Sandbox


def main() -> None:
    """Serve until told to stop. The signing secret comes from SEKISU_PAYMENT_SECRET; unset: nothing is signed."""
    parser = argparse.ArgumentParser(prog="sandbox", description="the embedded payment endpoint")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data-dir", type=Path, default=None)
    asked = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    secret = os.environ.get("SEKISU_PAYMENT_SECRET", "")
    with Sandbox(host=asked.host, port=asked.port, secret=secret, data_dir=asked.data_dir):
        stop.wait()


if __name__ == "__main__":
    main()
