"""The ways in which the sandbox misbehaves when asked to."""

from dataclasses import dataclass

from marshmallow import Schema, fields, validate

#: decline: 402 with a failure code. delay: booked, answered `seconds` late. error: 500, not booked. cut: booked, then
#: the connection ends without an answer. duplicate_callback: each callback twice. forget_keys: a known key counts as
#: new. replay_first: a known key gets its first answer again, even a 500. pending: 202, final after `seconds`.
MODES = ("decline", "delay", "error", "cut", "duplicate_callback", "forget_keys", "replay_first", "pending")


class FaultSchema(Schema):
    """Body of `PUT /faults`. `times` null: until cleared; `times` 0, `mode` null or "none": cleared. Seconds."""

    mode = fields.String(required=True, allow_none=True, validate=validate.OneOf((*MODES, "none")))
    times = fields.Integer(strict=True, load_default=None, allow_none=True, validate=validate.Range(0))
    seconds = fields.Float(load_default=1.0, allow_none=True, validate=validate.Range(0, 86_400))


@dataclass(slots=True)
class Faults:
    """The one fault in force; `times` is how many requests it still affects (None: until cleared)."""

    mode: str | None = None
    times: int | None = None
    seconds: float = 1.0

    def set(self, mode: str | None, times: int | None, seconds: float | None) -> None:
        """Put a fault in force in place of the one before."""
        self.mode = None if mode == "none" or times == 0 else mode
        self.times = times if self.mode else None
        self.seconds = 1.0 if seconds is None else seconds

    def take(self, mode: str) -> bool:
        """True when `mode` is in force for this request, which uses up one of its times."""
        if self.mode != mode:
            return False
        if self.times is not None:
            self.times -= 1
            if not self.times:
                self.mode, self.times = None, None
        return True
