"""Every fault raised on purpose; each says whether trying again can help. HTTP codes are the door's affair."""


class SekisuError(Exception):
    """Base of all faults raised on purpose.

    `code` is stable and machine-readable; `retry` says whether the same call may succeed later; `rule` names the
    rule of the rulebook that refused, where one did.
    """

    code = "error"
    retry = False
    rule: str | None = None


class NotFoundError(SekisuError):
    """The thing named does not exist in the caller's account."""

    code = "not_found"


class ConflictError(SekisuError):
    """The call contradicts what is already recorded."""

    code = "conflict"


class InvalidError(SekisuError):
    """The call's content is wrong; the message names the field and the way out, `rule` the rule where there is one."""

    code = "invalid"

    def __init__(self, message: str = "", *, rule: str | None = None) -> None:
        super().__init__(message)
        self.rule = rule


class RefusedError(SekisuError):
    """A rule of the rulebook forbids the command (law 9: only commands are ever refused).

    `actor`: it forbids it to who asked, not to everybody (XX-05).
    """

    code = "refused"

    def __init__(self, rule: str, message: str, *, actor: bool = False) -> None:
        super().__init__(message)
        self.rule = rule
        self.actor = actor


class UnavailableError(SekisuError):
    """An engine we stand on does not answer; the same call may succeed later."""

    code = "unavailable"
    retry = True
