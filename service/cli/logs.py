"""One log format for every process: plain text, or one JSON object a line."""

import json
import logging
from typing import Any

_CONSUMER = "dramatiq.worker.ConsumerThread"
#: Seconds.
_PAUSE = 30.0


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """One line: time (seconds since the epoch), level, logger, message and, of a fault, the trace."""
        entry = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["trace"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


class _Sparing(logging.Filter):
    """Lets through only once in `_PAUSE` what a consumer says at each of its many attempts while the broker is away."""

    def __init__(self) -> None:
        super().__init__()
        self._due: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith(_CONSUMER):
            return True
        said = (record.name, str(record.msg))
        passes = record.created >= self._due.get(said, 0.0)
        if passes:
            self._due[said] = record.created + _PAUSE
        return passes


def config(log_format: str) -> dict[str, Any]:
    """A `logging.config` dictionary that sends everything from INFO up to stderr, `text` or `json`."""
    text = {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": _JsonFormatter} if log_format == "json" else text},
        "filters": {"sparing": {"()": _Sparing}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["sparing"]}},
        "loggers": {},  # named, because granian lays this over a configuration of its own
        "root": {"handlers": ["stderr"], "level": "INFO"},
    }
