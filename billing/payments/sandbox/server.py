"""The sandbox itself: its routes, and the rule that at most one attempt of a charge succeeds."""

import asyncio
import contextlib
import hashlib
import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote

from marshmallow import ValidationError

from billing.payments.sandbox.book import Answer, Book, ChargeSchema, Order, RefundSchema
from billing.payments.sandbox.faults import Faults, FaultSchema
from billing.payments.sandbox.listener import Request, serve
from billing.payments.sandbox.notifier import Notifier
from billing.payments.wire import genuine, signed_headers

_SCHEMAS = {"charge": ChargeSchema(), "refund": RefundSchema()}
_FAULT = FaultSchema()

#: Seconds after the start until what was pending at the last stop becomes final.
_SETTLE_AT_START_S = 0.5


def _wall_clock() -> datetime:
    return datetime.now(UTC)


class Sandbox:
    """The endpoint in a thread of its own, as a context manager. `port` 0 takes a free one; `url` tells which.

    With a `secret` (`whsec_...`) every POST must be signed with it (401 else) and callbacks are; "" or None: neither.
    A malformed one raises InvalidError.
    `callback_delay_s` is the time between an outcome and its callback. Without `data_dir` the book dies with it.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        secret: str | None = None,
        data_dir: Path | None = None,
        clock: Callable[[], datetime] = _wall_clock,
        callback_delay_s: float = 0.05,
    ) -> None:
        self._host = host
        self._port = port
        self._secret = secret or ""
        signed_headers(self._secret, "start", clock(), b"")  # a malformed secret is told now, not by a lost callback
        self._clock = clock
        self._callback_delay_s = callback_delay_s
        self._book = Book(data_dir)
        self._faults = Faults()
        self._in_flight: set[tuple[str, str]] = set()
        self._started = threading.Event()
        self._start_fault: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="sandbox", daemon=True)

    @property
    def url(self) -> str:
        """The base address, without a slash at the end."""
        return f"http://{self._host}:{self._port}"

    def __enter__(self) -> Self:
        """Start to listen. Raises OSError when the port is taken."""
        self._thread.start()
        self._started.wait()
        if self._start_fault:
            self._book.close()
            raise self._start_fault
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop; callbacks not yet sent are forgotten."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._book.close()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except OSError as fault:
            self._start_fault = fault
        finally:
            self._started.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._notifier = Notifier(self._secret, self._clock, self._callback_delay_s)
        with contextlib.closing(self._notifier):
            server = await asyncio.start_server(lambda r, w: serve(r, w, self._handle), self._host, self._port)
            self._port = server.sockets[0].getsockname()[1]
            for kind, order_id in self._book.pending():
                self._loop.call_later(_SETTLE_AT_START_S, self._settle, kind, order_id)
            self._started.set()
            async with server:
                await self._stop.wait()

    async def _handle(self, request: Request) -> tuple[int, object] | None:
        match request.method, request.path:
            case "POST", "/charges":
                return await self._post("charge", request)
            case "POST", "/refunds":
                return await self._post("refund", request)
            case "GET", "/book":
                return 200, self._book.shown()
            case "PUT", "/faults":
                return self._put_fault(request.body)
            case "GET", path if path.startswith("/charges/"):
                return self._get("charge", unquote(path.removeprefix("/charges/")))
            case "GET", "/healthz":
                return 200, {}
            case _:
                return 404, {"code": "not_found"}

    def _get(self, kind: str, order_id: str) -> tuple[int, object]:
        entry = self._book.entries.get((kind, order_id))
        if entry is None or entry.status is None:
            return 404, {"code": "not_found"}
        return 200, _state(kind, order_id, entry.status, entry.failure_code)

    def _put_fault(self, body: bytes) -> tuple[int, object]:
        try:
            self._faults.set(**_FAULT.load(json.loads(body)))
        except ValidationError as fault:
            return 422, {"code": "invalid", "errors": fault.messages_dict}
        except (ValueError, RecursionError):
            return 400, {"code": "invalid", "detail": "the body is not JSON"}
        return 200, {"mode": self._faults.mode, "times": self._faults.times, "seconds": self._faults.seconds}

    async def _post(self, kind: str, request: Request) -> tuple[int, object] | None:
        if self._secret and not genuine(self._secret, request.headers, request.body, self._clock()):
            return 401, {"code": "unsigned", "detail": "the signature is missing, wrong or too old"}
        key = request.headers.get("idempotency-key", "")
        if not key:
            return 400, {"code": "idempotency_key_missing"}
        try:
            body = _SCHEMAS[kind].load(json.loads(request.body))
        except ValidationError as fault:
            return 422, {"code": "invalid", "errors": fault.messages_dict}
        except (ValueError, RecursionError):
            return 400, {"code": "invalid", "detail": "the body is not JSON"}
        return await self._answer(Order(kind, key, hashlib.sha256(request.body).hexdigest(), body))

    async def _answer(self, order: Order) -> tuple[int, object] | None:
        if (order.kind, order.key) in self._in_flight:
            answer = Answer(409, {"code": "in_progress"})
            self._book.post(order, answer, keep=False)
            return answer.code, answer.body
        answer = self._decide(order)
        if self._faults.take("cut"):
            return None
        seconds = self._faults.seconds
        if self._faults.take("delay"):
            await self._wait(order, seconds)
        return answer.code, answer.body

    async def _wait(self, order: Order, seconds: float) -> None:
        self._in_flight.add((order.kind, order.key))
        try:
            await asyncio.sleep(seconds)
        finally:
            self._in_flight.discard((order.kind, order.key))

    def _decide(self, order: Order) -> Answer:
        """What to answer, booked. A known key repeats its answer; an unknown one of a settled charge gets its state."""
        if self._faults.take("error"):
            answer = Answer(500, {"code": "error", "detail": "the fault that was asked for"})
            self._book.post(order, answer, keep=True)
            return answer
        repeated = self._repeated(order)
        if repeated is not None:
            self._book.post(order, repeated, keep=False)
            return repeated
        entry = self._book.entries.get((order.kind, order.id))
        if entry is not None and entry.status in {"succeeded", "pending"}:
            code = 202 if entry.status == "pending" else 200
            answer = Answer(code, _state(order.kind, order.id, entry.status, None))
            self._book.post(order, answer, keep=True)
            return answer
        return self._execute(order)

    def _repeated(self, order: Order) -> Answer | None:
        saved = self._book.saved.get((order.kind, order.key))
        if saved is None:
            return None
        if self._faults.take("replay_first"):
            return saved.first
        if self._faults.take("forget_keys"):
            return None
        if saved.fingerprint != order.fingerprint:
            return Answer(422, {"code": "idempotency_key_reused", "failure_code": "idempotency_key_reused"})
        return saved.answer

    def _execute(self, order: Order) -> Answer:
        """Move the money of a new attempt, or decline it, or leave it pending."""
        code = self._refusal(order) or ("card_declined" if self._faults.take("decline") else None)
        seconds = self._faults.seconds
        if code:
            answer = Answer(402, _state(order.kind, order.id, "failed", code), "failed")
        elif self._faults.take("pending"):
            answer = Answer(202, _state(order.kind, order.id, "pending", None), "pending")
            self._loop.call_later(seconds, self._settle, order.kind, order.id)
        else:
            answer = Answer(201, _state(order.kind, order.id, "succeeded", None), "succeeded")
        self._book.post(order, answer, keep=True)
        if answer.state != "pending":
            self._tell(order.kind, order.id)
        return answer

    def _refusal(self, order: Order) -> str | None:
        """Why a refund cannot be: no such money was taken, or less than is asked back."""
        if order.kind == "charge":
            return None
        charge = self._book.entries.get(("charge", order.body["charge_id"]))
        if charge is None or charge.status != "succeeded" or charge.order["currency"] != order.body["currency"]:
            return "charge_not_refundable"
        left = charge.order["amount"] - self._book.refunded(order.body["charge_id"])
        return "refund_exceeds_charge" if order.body["amount"] > left else None

    def _settle(self, kind: str, order_id: str) -> None:
        self._book.settle(kind, order_id, "succeeded")
        self._tell(kind, order_id)

    def _tell(self, kind: str, order_id: str) -> None:
        """Call back with the final state, to the address that the charge named."""
        entry = self._book.entries[kind, order_id]
        charge_id = order_id if kind == "charge" else entry.order["charge_id"]
        charge = self._book.entries.get(("charge", charge_id))
        url = charge.order.get("callback_url") if charge else None
        if not url or entry.status is None:
            return
        data: dict[str, Any] = {"charge_id": charge_id} | ({"refund_id": order_id} if kind == "refund" else {})
        data |= {
            "attempt": entry.order["attempt"],
            "reference": _reference(kind, order_id),
            "failure_code": entry.failure_code,
        }
        copies = 2 if self._faults.take("duplicate_callback") else 1
        self._notifier.tell(url, f"{kind}.{entry.status}", data, copies=copies)


def _reference(kind: str, order_id: str) -> str:
    """Our own id of an order: one for all its attempts."""
    return "sb_" + hashlib.sha256(f"{kind}:{order_id}".encode("utf-8", "surrogatepass")).hexdigest()[:20]


def _state(kind: str, order_id: str, status: str, failure_code: str | None) -> dict[str, Any]:
    return {"id": _reference(kind, order_id), "status": status, "failure_code": failure_code}
