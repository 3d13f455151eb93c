"""The house's own source, read as syntax trees."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("billing", "workers", "service")
_BUILT = {".venv", ".git", "build", "dist", ".sekisu", ".hypothesis", "node_modules"}


@dataclass(frozen=True)
class Module:
    """A Python file of the product. `name` is dotted, a package's is the folder's."""

    name: str
    path: Path
    text: str
    tree: ast.Module

    @property
    def where(self) -> str:
        return str(self.path.relative_to(ROOT))


@cache
def modules(*folders: str) -> tuple[Module, ...]:
    """Every Python file below the folders (default: the three packages of the product)."""
    found = []
    for folder in folders or PACKAGES:
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            text = path.read_text(encoding="utf-8")
            found.append(Module(name, path, text, ast.parse(text, str(path))))
    return tuple(found)


def imported(module: Module) -> Iterator[tuple[str, int]]:
    """What a module imports, dotted, with the line; `from a import b` gives `a.b`, whether b is a module or not."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((f"{'.' * node.level}{node.module or ''}.{alias.name}", node.lineno) for alias in node.names)


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def texts() -> Iterator[tuple[Path, str]]:
    """Every text file a person wrote here, with its content."""
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        built = any(part in _BUILT or part.endswith((".egg-info", "_cache", "__pycache__")) for part in parts)
        if built or not path.is_file():
            continue
        try:
            yield path, path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture or a font
