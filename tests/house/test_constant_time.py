"""What vouches for somebody is compared in constant time, by `hmac.compare_digest`, wherever it is compared."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.house.source import Module, modules

#: Words of a name that say: who guesses this gets in.
TELLING = re.compile(
    r"(?:^|_)(?:signature|sig|secret|secrets|digest|digests|token|tokens|mac|hmac|api_key|apikey|password)(?:_|$)"
)
#: Comparisons that vouch for nobody, by file and what stands on the telling side; and why.
HARMLESS = {
    ("billing/store/outcomes.py", "charge['token']"): "a fencing number of our own, never shown to anybody",
    ("billing/store/outcomes.py", "token"): "a fencing number of our own",
    ("billing/store/refunds.py", "refund['token']"): "a fencing number of our own",
    ("billing/store/refunds.py", "token"): "a fencing number of our own",
    ("billing/tools/standard/signature.py", "len(signature)"): "its length is public",
    ("billing/tools/standard/signature.py", "base64.b64encode(signature)"): "what the sender sent, against itself",
}
#: Checkers of the books: they compare hashes that lie in the open, and nobody gets in by guessing one.
CHECKERS = ("workers/checks/", "service/cli/check_line.py")


def told(node: ast.expr) -> bool:
    """Whether the expression holds a name (also of a key or an attribute) that says so."""
    names = (
        inner.id
        if isinstance(inner, ast.Name)
        else inner.attr
        if isinstance(inner, ast.Attribute)
        else inner.value
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str) and inner.value.isidentifier()
        else ""
        for inner in ast.walk(node)
    )
    return any(TELLING.search(name.lower()) for name in names)


def leaks(module: Module) -> Iterator[tuple[str, str]]:
    """(where, what) of every `==`, `!=`, `in` and `not in` that looks at what vouches for somebody."""
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Compare) or module.where.startswith(CHECKERS):
            continue
        sides = [node.left, *node.comparators]
        for number, operator in enumerate(node.ops):
            if not isinstance(operator, ast.Eq | ast.NotEq | ast.In | ast.NotIn):
                continue
            pair = sides[number : number + 2]
            if any(isinstance(one, ast.Constant) for one in pair):
                continue  # a value of the source is no secret
            yield from (
                (f"{module.where}:{node.lineno}", ast.unparse(one))
                for one in pair
                if told(one) and (module.where, ast.unparse(one)) not in HARMLESS
            )


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.where)
def test_nothing_that_vouches_for_somebody_is_compared_in_a_time_that_tells(module: Module) -> None:
    assert list(leaks(module)) == []


def test_every_exception_is_still_needed() -> None:
    found = {
        (module.where, ast.unparse(one))
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Compare)
        for one in (node.left, *node.comparators)
    }
    assert HARMLESS.keys() <= found, HARMLESS.keys() - found


@pytest.mark.parametrize(
    "line",
    ["a == signature", "x != body['mac']", "given in self.secrets", "made.api_key == key", "f(token) not in known"],
)
def test_the_rule_itself_can_say_no(line: str) -> None:
    module = modules()[0]
    assert len(list(leaks(module.__class__("x", module.path, line, ast.parse(line))))) == 1


def test_the_rooms_and_the_keys_do_compare_in_constant_time() -> None:
    users = {module.where for module in modules() if "hmac.compare_digest(" in module.text}
    assert {"service/api/auth.py", "billing/tools/trello/door.py", "billing/tools/standard/signature.py"} <= users
