"""What every process writes to its log."""

import subprocess
import sys

from tests.cli.processes import ROOT

PROGRAM = """
import logging.config
from service.cli import logs
logging.config.dictConfig(logs.config("text"))
for queue in ("default", "other"):
    for attempt in range(5):
        consumer = logging.getLogger(f"dramatiq.worker.ConsumerThread({queue})")
        consumer.critical("Consumer encountered a connection error: %s", attempt)
        logging.getLogger("workers.ticker").warning("attempt %d", attempt)
"""


def test_a_consumer_that_looks_for_the_broker_again_and_again_says_so_once() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True)
    lines = done.stderr.splitlines()
    assert sum("connection error" in line for line in lines) == 2
    assert sum("workers.ticker" in line for line in lines) == 10
