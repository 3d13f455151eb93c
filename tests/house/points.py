"""The crash points of the product, read from its source: every commit and every outbound call lies between two."""

import ast
from collections.abc import Iterator

from tests.house.source import Module, modules

#: Whose first argument is the name of a pair of points.
NAMING = ("transaction", "around", "_post", "_ask")
#: Where the name of a pair is handed on instead of written.
HANDED_ON = ("billing/store/db.py", "billing/payments/wire.py", "billing/payments/gateway.py")
#: Commits of what nobody keeps: an advisory lock's own transaction, tables that end with the session.
FLEETING = ("billing/store/migrate.py", "workers/scratch.py", "workers/shuffling.py")
#: Launchers ask an engine whether it answers; nothing they do is ours to lose. The sandbox is the other party.
OUTSIDE = ("billing/engines/", "billing/payments/sandbox/", "service/cli/", "billing/crash.py")
#: Methods that commit or go out, with a word that the object's name holds.
COMMITS = {"commit": "", "begin": "engine", "transaction": ""}
GOING_OUT = {"send": "adapter", "send_message": "", "enqueue": ""}


def literal(call: ast.Call) -> str | None:
    """The name that a call gives to its pair of points."""
    if called(call)[1] in NAMING and call.args and isinstance(call.args[0], ast.Constant):
        value = call.args[0].value
        return value if isinstance(value, str) else None
    return None


def called(call: ast.Call) -> tuple[str, str]:
    """The object, as written, and the method or function that a call is of."""
    if isinstance(call.func, ast.Attribute):
        return ast.unparse(call.func.value), call.func.attr
    return "", call.func.id if isinstance(call.func, ast.Name) else ""


def pairs() -> list[str]:
    """The names of all pairs of points, as often as they are written."""
    calls = (node for module in product() for node in ast.walk(module.tree) if isinstance(node, ast.Call))
    return [name for call in calls if (name := literal(call)) is not None]


def points() -> list[str]:
    """Every point at which the product may be killed."""
    return [f"{name}.{side}" for name in sorted(pairs()) for side in ("before", "after")]


def product() -> list[Module]:
    return [module for module in modules() if not module.where.startswith(OUTSIDE) or "cli/" in module.where]


def bare(module: Module) -> Iterator[str]:
    """The commits and outbound calls of a module that lie between no points."""
    yield from _bare(module, module.tree, between=False)


def _bare(module: Module, node: ast.AST, *, between: bool) -> Iterator[str]:
    if isinstance(node, ast.With):
        between = between or any("crash.around(" in ast.unparse(item) for item in node.items)
    if isinstance(node, ast.Call) and not between and (why := _crosses(module, node)):
        yield f"{module.where}:{node.lineno}: {ast.unparse(node)[:60]} {why}"
    for child in ast.iter_child_nodes(node):
        yield from _bare(module, child, between=between)


def _crosses(module: Module, call: ast.Call) -> str | None:
    owner, name = called(call)
    if name in COMMITS and COMMITS[name] in owner and literal(call) is None:
        allowed = FLEETING if name == "commit" else ("billing/store/db.py",)
        return None if module.where in allowed else "commits between no crash points"
    if name in GOING_OUT and GOING_OUT[name] in owner and not module.where.startswith(OUTSIDE):
        return "goes out between no crash points"
    return None
