"""Writes docs/rules.md from the rule table: `python -m tests.rules`; `--check` only says whether all is well."""

import difflib
import sys
from itertools import islice

from tests.rules.table import PAGE, faults, page, rules

#: Lines of a difference that are shown.
_MOST_LINES = 40


def main(arguments: list[str]) -> int:
    """Write the page, or check the table and the page; answers the exit code."""
    found = rules()
    told = faults(found)
    text = page(found)
    if "--check" not in arguments:
        PAGE.write_text(text, encoding="utf-8")
    elif not PAGE.is_file() or (there := PAGE.read_text(encoding="utf-8")) != text:
        there = PAGE.read_text(encoding="utf-8") if PAGE.is_file() else ""
        lines = difflib.unified_diff(there.splitlines(), text.splitlines(), "docs/rules.md", "the rules", lineterm="")
        print("\n".join(islice(lines, _MOST_LINES)))
        told.append("docs/rules.md is not what the rules say; write it with `python -m tests.rules`")
    if told:
        print("\n".join(told), file=sys.stderr)
        return 1
    print(f"docs/rules.md: {len(found)} rules, {sum(bool(rule.test) for rule in found)} of them proved by a test")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
