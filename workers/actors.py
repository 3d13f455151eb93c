"""The Dramatiq actors: the names the bell rings. They take ids only; retries live in rows, never in the broker."""

from collections.abc import Callable

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from workers.broker import QUEUE, worker_broker
from workers.jobs import Jobs

#: Milliseconds after which a message is not worth doing: the sweeper found its row long before.
MAX_AGE = 600_000


def declare(jobs: Jobs) -> RedisBroker:
    """A broker with every actor declared on it, for one worker process."""
    broker = worker_broker(jobs.settings.redis_url)
    actors: dict[str, Callable[..., None]] = {
        "read_connection": jobs.read,
        "settle_workspace": lambda workspace_id: jobs.settle_all([workspace_id]),
        "settle_crowd": lambda _turn: jobs.settle_crowd(),
        "send_charges": jobs.send,
        "read_callbacks": jobs.callbacks,
    }
    for name, job in actors.items():
        declared = dramatiq.actor(actor_name=name, queue_name=QUEUE, broker=broker, max_retries=0, max_age=MAX_AGE)
        declared(job)
    return broker
