"""A small HTTP client for commands that talk to a running service: JSON in, JSON out, faults in one sentence."""

import http.client
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from billing.core.errors import SekisuError

_SECONDS = 30.0


class AnswerError(SekisuError):
    """The service did not answer, or answered something else than success; the message says what was asked.

    `rule` is the rule of the rulebook by which it refused, "" when none did; `detail` its own words.
    """

    code = "answer"

    def __init__(self, message: str, rule: str = "", detail: str = "") -> None:
        super().__init__(message)
        self.rule, self.detail = rule, detail


class Client:
    """Requests to one base address, with an API key unless `key` is empty."""

    def __init__(self, base_url: str, key: str = "") -> None:
        parts = urlsplit(base_url)
        self._base_url = base_url
        self._kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._host, self._port, self._path = parts.hostname or "", parts.port, parts.path
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    def get(self, path: str) -> Any:
        """The JSON that is there. Raises AnswerError."""
        return self._json("GET", path, b"", {})

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON answer to a JSON body. Raises AnswerError."""
        return self._json("POST", path, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def file(self, path: str) -> bytes:
        """The bytes of what is there. Raises AnswerError."""
        status, content = self._exchange("GET", path, b"", self._headers)
        if status != 200:
            raise AnswerError(f"GET {self._base_url}{path} answered {status}: {content[:200]!r}")
        return content

    def send(self, path: str, body: bytes, headers: Mapping[str, str]) -> int:
        """POST raw bytes; answers the status. Raises AnswerError when nobody answers."""
        return self._exchange("POST", path, body, headers)[0]

    def _json(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Any:
        status, content = self._exchange(method, path, body, {**self._headers, **headers})
        try:
            told = json.loads(content)
        except ValueError:
            told = None
        if not 200 <= status < 300 or told is None:
            problem = told if isinstance(told, dict) else {}
            rule, detail = str(problem.get("rule") or ""), str(problem.get("detail") or "")
            said = f"{method} {self._base_url}{path} answered {status}: {detail or content[:200]!r}"
            raise AnswerError(said, rule, detail)
        return told

    def _exchange(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        connection = self._kind(self._host, self._port, timeout=_SECONDS)
        try:
            connection.request(method, self._path + path, body, dict(headers))
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise AnswerError(f"{method} {self._base_url}{path} was not answered: {error}") from error
        finally:
            connection.close()
