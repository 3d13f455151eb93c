# mypy: ignore-errors
"""Loaded by every Python process that has this folder in its PYTHONPATH: what a test wants to be wrong inside it.

FAULTS_CLUMSY=WORD    the Trello room raises when it is asked for the id of a body that holds WORD
FAULTS_SKEW_S=SECONDS the wall clock of the process is ahead by so much (or behind, if negative)
"""

import datetime
import os
import time


def _clumsy(word: bytes) -> None:
    from billing.tools import trello  # noqa: PLC0415 - only where it is asked for

    def delivery_id(headers: object, body: bytes) -> str:
        if word in body:
            raise LookupError("the id is not to be found")
        return str(right(headers, body))

    right, trello.delivery_id = trello.delivery_id, delivery_id


def _skew(seconds: float) -> None:
    real_time, real = time.time, datetime.datetime
    shift = datetime.timedelta(seconds=seconds)

    class Kind(type(real)):
        def __instancecheck__(cls, other: object) -> bool:
            return isinstance(other, real)

        def __subclasscheck__(cls, other: type) -> bool:
            return issubclass(other, real)

    class Skewed(real, metaclass=Kind):
        __slots__ = ()

        def __new__(cls, *args: object, **more: object) -> datetime.datetime:
            return real(*args, **more)

        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
            return real.now(tz) + shift

        @classmethod
        def utcnow(cls) -> datetime.datetime:
            return real.utcnow() + shift

    time.time = lambda: real_time() + seconds
    datetime.datetime = Skewed


if os.environ.get("FAULTS_SKEW_S"):
    _skew(float(os.environ["FAULTS_SKEW_S"]))
if os.environ.get("FAULTS_CLUMSY"):
    _clumsy(os.environ["FAULTS_CLUMSY"].encode())
