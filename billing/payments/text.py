"""Words of the payment endpoint that we keep."""

#: Characters of a reference or a failure code.
WORD_MAX = 255


def plain(value: object) -> str | None:
    """`value` if it is a word we can keep: a short printable text (no NUL, no lone surrogate); else None."""
    if isinstance(value, str) and 0 < len(value) <= WORD_MAX and value.isprintable():
        return value
    return None
