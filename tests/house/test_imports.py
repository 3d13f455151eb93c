"""Who may import whom (docs/adr/0003): service knows workers, workers know billing, billing knows neither."""

import ast
import sys
from collections.abc import Iterator

import pytest

from tests.house.source import Module, imported, modules, within

#: For each part of the house, the longest name counting: what of the house it may import.
HOUSE = {
    "service": ("service", "workers", "billing"),
    "workers": ("workers", "billing"),
    "billing": ("billing",),
    "billing.core": ("billing.core",),
    "billing.tools": ("billing.tools", "billing.core"),
    "billing.settings": ("billing.core",),
    "billing.engines": ("billing.engines", "billing.core"),
}
#: The pure parts, and all that they may import from outside the house and the standard library.
PURE = {"billing.core": (), "billing.tools": ("marshmallow", "cryptography"), "billing.settings": ("cryptography",)}
#: The standard library's own ways to the network, to other processes and to a database.
IMPURE = ("socket", "http", "urllib.request", "subprocess", "sqlite3", "ssl", "asyncio", "multiprocessing", "smtplib")
#: Registries: what is found by looking is imported when it is asked for.
REGISTRIES = ("billing/tools/room.py", "service/cli/main.py")


def part_of(name: str, parts: dict[str, tuple[str, ...]]) -> str | None:
    return max((part for part in parts if within(name, part)), key=len, default=None)


def wrong(module: Module, name: str) -> str | None:
    """Why `module` may not import `name`; None when it may."""
    if name.startswith("."):
        return "relative imports hide who knows whom"
    top = name.partition(".")[0]
    if top in ("billing", "workers", "service"):
        part = part_of(module.name, HOUSE)
        allowed = HOUSE[part] if part else ()
        return None if any(within(name, other) for other in allowed) else f"{part} does not know {name}"
    part = part_of(module.name, PURE)
    if part is None:
        return None
    if top in sys.stdlib_module_names:
        impure = part != "billing.settings" and any(within(name, other) for other in IMPURE)
        return f"{part} is pure" if impure else None
    return None if top in PURE[part] else f"{part} does not know {top}"


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.where)
def test_a_module_imports_only_whom_it_may_know(module: Module) -> None:
    faults = [
        f"{module.where}:{line}: {why}" for name, line in imported(module) if (why := wrong(module, name)) is not None
    ]
    assert not faults


def hidden_imports(module: Module) -> Iterator[str]:
    """Imports that are not at the top of the file: inside functions, or by a call."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            inner = [item for item in ast.walk(node) if isinstance(item, ast.Import | ast.ImportFrom)]
            yield from (f"{module.where}:{item.lineno}: import inside a function" for item in inner)
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__"):
                yield f"{module.where}:{node.lineno}: imports by a call"


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.where)
def test_no_import_hides_inside_a_function_but_a_registrys(module: Module) -> None:
    assert module.where in REGISTRIES or not list(hidden_imports(module))


def test_the_rules_themselves_can_say_no() -> None:
    source = "import requests\nfrom service.app import create_app\ndef f():\n    import json\n    __import__('os')\n"
    core = modules()[0].__class__("billing.core.x", modules()[0].path, source, ast.parse(source))
    assert wrong(core, "requests") == "billing.core does not know requests"
    assert wrong(core, "service.app") == "billing.core does not know service.app"
    assert wrong(core, "billing.store.inbox") == "billing.core does not know billing.store.inbox"
    assert wrong(core, "socket") == "billing.core is pure"
    assert wrong(core, "billing.core.money") is None
    assert len(list(hidden_imports(core))) == 2
