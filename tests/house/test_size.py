"""The ratchet: short functions, short files, nothing dead, nothing put off."""

import ast
import re

import pytest

from tests.house.source import ROOT, Module, imported, modules, texts, within

LONGEST_FUNCTION, LONGEST_FILE = 70, 400
#: Started by name or by path, never imported: what a server, a shell or the migration tool loads.
ENTRIES = ("billing.engines.child", "billing.store.migrations", "service.asgi", "billing.payments.sandbox.__main__")
#: Written in two parts, so that this file may be searched like any other.
PUT_OFF = re.compile("TO" + "DO|FIX" + "ME|XX" + "X:")
REGISTRY_HOSTS = re.compile(
    "pypi" + r"\.org|python" + r"hosted\.org|npmjs" + r"\.(?:org|com)|proxy\.golang" + r"\.org|crates" + r"\.io"
)
MACHINE_PATHS = re.compile(r"(?<![\w.>:-])/(?:work/(?:main|shared)|" + r"root/\.)")


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.where)
def test_no_function_is_longer_than_a_screen_and_no_file_longer_than_a_chapter(module: Module) -> None:
    functions = [node for node in ast.walk(module.tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    long = [f"{node.name}:{node.lineno}" for node in functions if _lines(node) > LONGEST_FUNCTION]
    assert not long
    assert module.text.count("\n") <= LONGEST_FILE


def _lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def test_no_module_is_dead() -> None:
    """Every module is imported by the product, found by looking (rooms, commands), or named as an entry."""
    used = {name for module in modules() for name, _ in imported(module)}
    dead = []
    for module in modules():
        is_package = module.path.name == "__init__.py"
        is_room = within(module.name, "billing.tools") and is_package
        is_command = module.path.parent == ROOT / "service" / "cli" and re.search(
            r"^(?:def command\(|command(?:: [^=]+)? = )", module.text, re.MULTILINE
        )
        is_entry = any(within(module.name, entry) for entry in ENTRIES)
        if not (is_package or is_room or is_command or is_entry or any(within(name, module.name) for name in used)):
            dead.append(module.name)
    assert not dead


def test_nothing_is_put_off_and_no_machine_or_registry_is_named() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {match[0]}"
        for path, text in texts()
        for number, line in enumerate(text.splitlines(), 1)
        for pattern in (PUT_OFF, REGISTRY_HOSTS, MACHINE_PATHS)
        if (match := pattern.search(line))
    ]
    assert not found


def test_the_search_for_what_must_not_be_written_can_find_it() -> None:
    assert PUT_OFF.search("# TO" + "DO: later")
    assert REGISTRY_HOSTS.search("https://files.python" + "hosted.org/x")
    assert MACHINE_PATHS.search("open('/work/" + "main/x')")
