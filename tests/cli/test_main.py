"""The command line: quick to help, one sentence for a fault, and it says what to change."""

import fcntl
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from billing.settings import LOCK_FILE, RUNNING_FILE, Settings
from service.cli.main import commands
from service.cli.ports import PortTakenError, check_port
from service.cli.stack import StartError, only_one
from tests.cli.processes import ROOT
from tests.ports import free_port


def sekisu(*arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SEKISU_")}
    environ |= {f"SEKISU_{name}": value for name, value in settings.items()}
    command = [sys.executable, "-m", "service.cli.main", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=60)


def test_the_help_names_every_command_and_imports_none() -> None:
    program = (
        "import sys; from service.cli import main\n"
        "try: main.sekisu(['--help'])\n"
        "finally: print('LOADED', [m for m in sys.modules if m.startswith(('granian', 'dramatiq', 'flask'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "LOADED []" in done.stdout
    assert all(f"  {name} " in done.stdout for name in commands())
    assert {"up", "web", "worker", "ticker", "doctor", "backup", "restore"} <= set(commands())


def test_every_fault_in_the_settings_is_a_sentence_of_its_own_and_no_traceback(tmp_path: Path) -> None:
    done = sekisu("up", DATA_DIR=str(tmp_path), PORT="high", COLLECT="never")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 2
    assert all(line.startswith("sekisu: SEKISU_") for line in done.stderr.splitlines())


def test_wrong_usage_is_exit_code_two() -> None:
    assert sekisu("dance").returncode == 2


def test_a_taken_port_is_one_sentence_that_names_the_setting(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = sekisu("up", DATA_DIR=str(tmp_path), PORT=str(port))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert f"port {port}" in line
    assert "SEKISU_PORT" in line


def test_a_port_that_its_listener_would_share_counts_as_taken() -> None:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        server.bind(("127.0.0.1", 0))
        server.listen()
        with pytest.raises(PortTakenError, match="SEKISU_PORT"):
            check_port("127.0.0.1", server.getsockname()[1], "SEKISU_PORT")


def test_a_data_directory_that_is_not_writable_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = sekisu("up", DATA_DIR=str(tmp_path / "file" / "below"))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "not writable" in line


def test_a_data_directory_has_one_up_at_a_time(tmp_path: Path) -> None:
    with only_one(tmp_path), pytest.raises(StartError, match="another `sekisu up`"), only_one(tmp_path):
        pass
    with only_one(tmp_path):
        pass


def test_other_commands_find_the_engines_of_a_living_up_and_forget_those_of_a_dead_one(tmp_path: Path) -> None:
    addresses = {"database_url": "postgresql://u:p@127.0.0.1:1/d", "redis_url": "", "payment_url": "http://127.0.0.1:2"}
    (tmp_path / RUNNING_FILE).write_text(json.dumps(addresses))
    with (tmp_path / LOCK_FILE).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        settings = Settings.load({"SEKISU_DATA_DIR": str(tmp_path), "SEKISU_PAYMENT_URL": "http://pay.example"})
        assert settings.database_url == addresses["database_url"]
        assert settings.payment_url == "http://pay.example"
    assert Settings.load({"SEKISU_DATA_DIR": str(tmp_path)}).database_url == ""


def test_a_process_that_lacks_an_address_says_which(tmp_path: Path) -> None:
    done = sekisu("web", DATA_DIR=str(tmp_path))
    assert done.returncode == 1
    assert "SEKISU_DATABASE_URL" in done.stderr
    assert "Traceback" not in done.stderr


def test_doctor_finds_nothing_wrong_with_this_installation_and_prints_json(tmp_path: Path) -> None:
    ports = {"PORT": str(free_port()), "SANDBOX_PORT": str(free_port())}
    done = sekisu("doctor", "--json", DATA_DIR=str(tmp_path), **ports)
    answer = json.loads(done.stdout)
    assert [item for item in answer["findings"] if not item["ok"]] == []
    assert (done.returncode, answer["ok"]) == (0, True)


def test_doctor_names_each_fault_with_its_way_out(tmp_path: Path) -> None:
    dead = {"DATABASE_URL": "postgresql://u@127.0.0.1:1/d", "REDIS_URL": "redis://127.0.0.1:1/0"}
    done = sekisu("doctor", "--json", DATA_DIR=str(tmp_path), PAYMENT_URL="http://127.0.0.1:1", **dead)
    faults = {item["subject"]: item["way_out"] for item in json.loads(done.stdout)["findings"] if not item["ok"]}
    assert done.returncode == 1
    assert {"database", "broker", "payment endpoint"} <= set(faults)
    assert all(faults.values())
