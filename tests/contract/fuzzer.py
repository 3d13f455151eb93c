"""schemathesis over the running service: what it is told, and what it found."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.contract.place import BOSS, Place
from tests.flows.house import ADMIN_KEY, PAYMENT_SECRET
from tests.flows.parts import ROOT

SPEC = ROOT / "openapi.yaml"
#: How long it may go on. CI says so itself; on a desk half a minute finds what a change broke.
SECONDS = int(os.environ.get("SEKISU_SCHEMATHESIS_SECONDS") or (180 if os.environ.get("CI") else 30))
SEED = int(os.environ.get("SEKISU_SCHEMATHESIS_SEED") or 1)
#: The variable that names the file with what the hooks know.
KNOWN = "KNOWN"
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
#: Words that mean something to the service, by the field that carries them; other values are made up.
WORDS: Mapping[str, list[str]] = {
    "actor.id": [BOSS],
    "actor.role": ["admin", "administrator", "contract_admin", "member"],
    "command": ["subscription", "members", "licences", "plan-change", "interval-change", "cancellation", "refund"],
    "interval": ["month", "3-months", "6-months", "year"],
    "option": ["custom-checklist", "security-check-sheets"],
    "payment_method": ["card", "bank_transfer"],
    "plan": ["trello-standard", "trello-premium", "chatwork-business", "chatwork-enterprise", "backlog-premium"],
    "time_zone": ["Asia/Tokyo", "UTC", "America/St_Johns"],
    "to": ["2025-05-01T00:00:00Z", "2025-06-30T23:59:59.999Z", "2026-02-28T12:00:00+09:00"],
    "tool": ["trello", "chatwork", "backlog", "standard"],
}


@dataclass
class Found:
    """What a run did: the answers of each operation (`POST /v1/keys`) by status, and what it said."""

    code: int
    text: str
    answers: dict[str, Counter[int]] = field(default_factory=dict)

    @property
    def calls(self) -> int:
        """How many."""
        return sum(answers.total() for answers in self.answers.values())

    def read(self, events: Path) -> "Found":
        """Take in the answers that were written down, one event a line."""
        with events.open(encoding="utf-8") as lines:
            for line in lines:
                for recorder in _recorders(json.loads(line)):
                    self._take(recorder)
        return self

    def _take(self, recorder: Mapping[str, Any]) -> None:
        for name, happened in recorder.get("interactions", {}).items():
            case = recorder["cases"][name]["value"]
            answered = self.answers.setdefault(f"{case['method']} {case['path']}", Counter())
            answered[(happened.get("response") or {}).get("status_code", 0)] += 1


def _recorders(event: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for told in event.values():
        if isinstance(told, dict) and "recorder" in told:
            yield told["recorder"]


@cache
def described() -> list[tuple[str, dict[str, Any]]]:
    """Every operation of openapi.yaml by its name, such as `POST /v1/keys`."""
    paths = yaml.safe_load(SPEC.read_text(encoding="utf-8"))["paths"]
    found = [(f"{method.upper()} {path}", told) for path in paths for method, told in paths[path].items()]
    return [(name, told) for name, told in found if not name.startswith("PARAMETERS ")]


def operations() -> list[str]:
    """Their names."""
    return [name for name, _ in described()]


def fuzz(place: Place, folder: Path) -> Found:
    """Run it for SECONDS."""
    config, events, known = (folder / name for name in ("schemathesis.toml", "events.ndjson", "known.json"))
    config.write_text(_config(place), encoding="utf-8")
    known.write_text(json.dumps(_known(place)), encoding="utf-8")
    options = {
        "--url": place.house.url,
        "--header": f"Authorization: Bearer {ADMIN_KEY}",
        "--checks": ",".join(CHECKS),
        "--max-time": str(SECONDS),
        "--seed": str(SEED),
        "--report": "ndjson",
        "--report-ndjson-path": str(events),
        "--warnings": "off",
        "--generation-database": "none",
        "--request-timeout": "20",
    }
    words = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run", str(SPEC), "--no-color"]
    words += ["--continue-on-failure", *(part for option in options.items() for part in option)]
    environ = os.environ | {
        KNOWN: str(known),
        "SCHEMATHESIS_HOOKS": "tests.contract.hooks",
        "PYTHONPATH": str(ROOT),
    }
    ran = subprocess.run(
        words, cwd=folder, env=environ, capture_output=True, text=True, timeout=SECONDS + 120, check=False
    )
    return Found(ran.returncode, ran.stdout + ran.stderr).read(events)


def _known(place: Place) -> dict[str, Any]:
    """What the hooks sign with, and the words they put where made-up ones stand."""
    connections = {name: tool for tool, name in place.connections.items()}
    public_url = place.customer.connection["webhook_url"].partition("/webhooks/")[0]
    secrets = {"secret": place.secret, "payment_secret": PAYMENT_SECRET}
    words = {**WORDS, **{name: place.ids[name] for name in ("account_id", "clock_id", "connection_id")}}
    return {"connections": connections, "public_url": public_url, "words": words, **secrets}


def _config(place: Place) -> str:
    """Paths name what exists more often than not; what an operation spoils, it finds in things to spare."""
    lines = ["[cache]", "enabled = false"]
    for name, values in place.ids.items():
        lines += [f"[dictionaries.{name}]", f"values = {json.dumps(values)}"]
    lines.append("[parameters]")
    lines += [_bound(f"path.{name}", name, 0.8) for name in place.ids]
    for number, (operation, (name, values)) in enumerate(place.spare.items()):
        method, _, path = operation.partition(" ")
        lines += [f"[dictionaries.spare-{number}]", f"values = {json.dumps(values)}", "[[operations]]"]
        lines += [f'include-name = "{method} {path}"', "[operations.parameters]"]
        lines.append(_bound(f"path.{name}", f"spare-{number}", 0.8))
    return "\n".join(lines) + "\n"


def _bound(place: str, words: str, probability: float) -> str:
    return f'"{place}" = {{ dictionary = "{words}", probability = {probability} }}'
