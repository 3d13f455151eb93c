"""What `make` says on a machine that lacks something: one sentence with the command to type."""

import os
import subprocess
import sys
from pathlib import Path

from tests.cli.processes import ROOT

SCRIPT = ROOT / ".ci" / "venv"


def run_with(folder: Path, python: str) -> "subprocess.CompletedProcess[str]":
    """Runs the script with nothing on PATH but a python3 that is the shell script `python`."""
    stub = folder / "python3"
    stub.write_text(f"#!/bin/sh\n{python}\n")
    stub.chmod(0o755)
    environ = {"PATH": str(folder), "HOME": os.environ.get("HOME", "/")}
    return subprocess.run(
        ["/bin/sh", str(SCRIPT), str(folder / "env")],
        env=environ,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_the_venv_module_the_command_to_type_is_named(tmp_path: Path) -> None:
    done = run_with(tmp_path, f'case "$2" in *ensurepip*) exit 1;; esac\nexec {sys.executable} "$@"')
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "venv module is missing" in done.stderr
    version = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    assert f"apt install {version}" in done.stderr or not Path("/etc/debian_version").exists()
    assert not (tmp_path / "env").exists()


def test_without_a_new_enough_python_one_sentence_says_so(tmp_path: Path) -> None:
    done = run_with(tmp_path, 'case "$2" in *version_info*) exit 1;; esac')
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "Python 3.11 or newer is needed" in done.stderr


def test_every_target_has_a_line_of_help() -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    named = {line.split()[1] for line in done.stdout.splitlines()}
    assert {"run", "test", "check", "openapi", "bench"} <= named
