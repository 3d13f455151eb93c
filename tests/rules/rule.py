"""One rule of the rulebook: what it says, the test that proves it, the code that does it, how to break that code."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """A row of docs/rules.md.

    A rule with a machine part has `test`, `code` and a mutation: with `old` replaced by `new` in `file` the test is
    red. One without has `why` instead, and only `WITHOUT` may.
    """

    #: "TR-08".
    id: str
    #: What the rule asks, in one line of our own words.
    says: str
    #: The test that proves it, named within tests/rules: "test_trello.py::test_tr_08_a_joiner_pays_the_days_left".
    test: str = ""
    #: The code that does it: "billing/core/lines.py:added_line" (a function or class), or a file of data alone.
    code: str = ""
    #: The file the mutation is made in, from the root of the repository.
    file: str = ""
    #: Text that stands exactly once in `file`.
    old: str = ""
    #: What stands there instead in the broken copy.
    new: str = ""
    #: Why there is nothing to run.
    why: str = ""


#: The only rules that may have no machine part.
WITHOUT = ("TR-30", "BL-02", "BL-29", "BL-30", "A-32")
