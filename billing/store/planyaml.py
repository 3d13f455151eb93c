"""The text of a plan file as plain data, with the line of every value, so that a fault can be pointed at."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from billing.core.errors import InvalidError

#: One part of the way to a value: a key, or the number of an item.
Part = str | int


class PlanFileError(InvalidError):
    """A plan file is wrong and was refused whole. `faults` has one `file:line: reason` for each fault found."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)


class _Loader(yaml.SafeLoader):
    """Reads what stands there: no octal, no sixty-based numbers, no `yes` for true, no dates made out of text."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - PyYAML's own name and shape, filled below


_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"\A(?:true|false)\Z"), list("tf"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"\A(?:null|~|)\Z"), ["n", "~", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"\A-?(?:0|[1-9][0-9]*)\Z"), list("-0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile(r"\A<<\Z"), ["<"])


@dataclass(frozen=True, slots=True)
class Document:
    """The `data` of a file and where each part of it stands."""

    name: str
    data: Any
    root: Node

    def line(self, path: Iterable[Part]) -> int:
        """The line (from 1) of the key or item `path` leads to; of what should hold it, when it is not there."""
        node, line = self.root, self.root.start_mark.line
        for part in path:
            found = _step(node, part)
            if found is not None:
                line, node = found
        return line + 1

    def fault(self, path: Sequence[Part], reason: str) -> str:
        """`file:line: names: reason`."""
        names = ".".join(part for part in path if isinstance(part, str))
        return (
            f"{self.name}:{self.line(path)}: {names}: {reason}" if names else f"{self.name}:{self.line(path)}: {reason}"
        )


def parse(text: str, name: str) -> Document:
    """The one document of `text`. Raises PlanFileError naming file, line and reason."""
    try:
        loader = _Loader(text)
        try:
            root = loader.get_single_node()
            if root is None:
                raise PlanFileError([f"{name}:1: the file is empty"])
            twice = [f"{name}:{line + 1}: {key} is written twice" for key, line in _twice(root, set())]
            if twice:
                raise PlanFileError(twice)
            return Document(name, loader.construct_document(root), root)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark or fault.context_mark
        raise PlanFileError([f"{name}:{mark.line + 1 if mark else 1}: {fault.problem or fault.context}"]) from fault
    except yaml.reader.ReaderError as fault:
        line = text.count("\n", 0, fault.position) + 1
        raise PlanFileError([f"{name}:{line}: a character that YAML does not allow"]) from fault
    except RecursionError as fault:
        raise PlanFileError([f"{name}:1: nested too deeply"]) from fault


def _step(node: Node, part: Part) -> tuple[int, Node] | None:
    if isinstance(node, MappingNode):
        # A merged block (`<<`) comes first, so the last one is the one that counts.
        for key, value in reversed(node.value):
            if isinstance(key, ScalarNode) and key.value == part:
                return key.start_mark.line, value
    if isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
        item = node.value[part]
        return item.start_mark.line, item
    return None


def _twice(node: Node, seen: set[int]) -> Iterable[tuple[str, int]]:
    """Keys that stand twice in one mapping, which YAML itself would let pass, with their lines (from 0)."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, SequenceNode):
        for item in node.value:
            yield from _twice(item, seen)
    if isinstance(node, MappingNode):
        keys: set[str] = set()
        for key, value in node.value:
            if isinstance(key, ScalarNode) and key.value in keys:
                yield key.value, key.start_mark.line
            keys.add(str(key.value))
            yield from _twice(value, seen)
