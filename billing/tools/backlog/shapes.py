"""The parts of a Backlog delivery that memberships depend on."""

from collections.abc import Mapping

from marshmallow import ValidationError, fields, validate

from billing.tools.parsing import Instant, Name, Shape

#: Project user added and removed.
ADDED, REMOVED = 15, 16
MEMBERSHIP_TYPES = (ADDED, REMOVED)

_MOST = 2**63 - 1


def as_number(value: object) -> str | None:
    """A number of Backlog's as the text of our ids; None when it is none."""
    good = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _MOST
    return str(value) if good else None


class Number(fields.Field[str]):
    """An id: Backlog's are whole numbers, ours are text."""

    def _deserialize(self, value: object, attr: str | None, data: object, **kwargs: object) -> str:
        number = as_number(value)
        if number is None:
            raise ValidationError("must be a whole number above zero")
        return number


def is_canned(value: Mapping[str, object]) -> bool:
    """Whether this is the body that the settings page's execution test sends: it tells of nobody real.

    Such bodies are alike in activity 10, project 100 and the key TEST. All three, because a project of an
    installation of one's own may well have a low number.
    """
    project = value.get("project")
    of = (project.get("id"), project.get("projectKey")) if isinstance(project, Mapping) else ()
    return value.get("id") == 10 and of == (100, "TEST")


class Head(Shape):
    """What every activity has."""

    id = Number(required=True)
    type = fields.Integer(required=True, strict=True, validate=validate.Range(1, 9999))


class _Project(Shape):
    id = Number(required=True)


class _User(Shape):
    id = Number(required=True)
    name = Name(allow_none=True)
    # Only the REST form shows it, and the number alone does not say of which of two lists of roles it is.
    role_type = fields.Integer(allow_none=True, strict=True, data_key="roleType", validate=validate.Range(0, 99))


class _Content(Shape):
    users = fields.List(fields.Nested(_User), required=True)


class Membership(Shape):
    """Types 15 and 16: one project, any number of people."""

    id = Number(required=True)
    created = Instant(required=True)
    project = fields.Nested(_Project, required=True)
    content = fields.Nested(_Content, required=True)
