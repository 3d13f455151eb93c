"""The brokers: one for the workers, and a quick one for whoever only rings and must never wait."""

import redis
from dramatiq.brokers.redis import RedisBroker
from redis.backoff import NoBackoff
from redis.retry import Retry

#: Every message goes here: all actors are short, and their work is in rows.
QUEUE = "default"
#: Seconds a quick broker waits for Redis.
PATIENCE = 0.3
#: How many commands of a million look for the messages of dead workers: all. The default takes minutes to find them.
_MAINTENANCE = 1_000_000
#: Milliseconds without a heartbeat after which a worker counts as dead.
_HEARTBEAT = 15_000


def worker_broker(redis_url: str) -> RedisBroker:
    """The broker the workers consume from, with Dramatiq's own middleware; it connects when it is first used."""
    return _broker(redis.Redis.from_url(redis_url))


def quick_broker(redis_url: str) -> RedisBroker:
    """A broker to enqueue with: it fails after `PATIENCE` seconds and never tries twice.

    The client is made here, because `RedisBroker(url=..., socket_timeout=...)` drops the time-out.
    """
    client = redis.Redis.from_url(
        redis_url, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE, retry=Retry(NoBackoff(), 0)
    )
    return _broker(client, middleware=[])


def _broker(client: redis.Redis, **options: object) -> RedisBroker:
    return RedisBroker(  # type: ignore[no-untyped-call]
        client=client, maintenance_chance=_MAINTENANCE, heartbeat_timeout=_HEARTBEAT, **options
    )
