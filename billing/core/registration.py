"""Registration numbers of qualified invoice issuers (rule B-32)."""

import re

from billing.core.errors import InvalidError

_NUMBER = re.compile(r"T[0-9]{13}")


def checked(number: str) -> list[str]:
    """What is doubtful about a registration number, in sentences; empty when nothing is.

    Raises InvalidError unless it is `T` and 13 digits. A wrong check digit is only doubtful: the numbers of sole
    traders may not follow it (B-32).
    """
    if not _NUMBER.fullmatch(number):
        raise InvalidError("a registration number is T followed by 13 digits (B-32)")
    if check_digit(number[2:]) != int(number[1]):
        return ["The check digit is not that of a company's number; look it up, unless the issuer is a sole trader."]
    return []


def check_digit(twelve: str) -> int:
    """The first digit of a corporate number, from the twelve behind it: 9 - (sum of digit x 1, 2, 1, 2... mod 9)."""
    return 9 - sum(int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(twelve))) % 9
