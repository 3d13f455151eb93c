"""Every setting of the service: typed, read once at start, failing with every fault named.

A setting X is read from `SEKISU_X`, or from the file that `SEKISU_X_FILE` names (for secrets mounted by a platform).
Unset secrets are made at random and kept in the data directory; unset engines are those of a running `sekisu up`.
"""

import base64
import binascii
import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.fernet import Fernet, MultiFernet

from billing.core.errors import SekisuError

#: Files of the data directory without which a database cannot be read; `backup` takes them along.
SECRET_FILES = ("secret-key", "payment-secret", "api-key")
_FIELD_OF_FILE = {"secret-key": "secret_keys", "payment-secret": "payment_secret", "api-key": "api_key"}
#: Held (flock) by a living `sekisu up`.
LOCK_FILE = "up.lock"
#: Where a living `sekisu up` writes the addresses of its engines, so that other commands find them.
RUNNING_FILE = "running.json"
ADDRESSES = ("database_url", "redis_url", "payment_url")


class SettingsError(SekisuError):
    """One or more settings are wrong. `faults` has one sentence for each, all found in one reading."""

    code = "settings"

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)


@dataclass(frozen=True)
class Settings:
    """The settings of contract.md. An empty address (database, broker, payment endpoint) means the embedded one.

    `secret_keys` are Fernet keys: the first encrypts, each decrypts. `payment_secret` may be several, with commas
    between, for a rotation: we sign with each, and any of them vouches for a callback. Secrets and addresses (which may
    carry a password) are never in the repr.
    """

    data_dir: Path
    database_url: str = field(default="", repr=False)
    redis_url: str = field(default="", repr=False)
    payment_url: str = field(default="", repr=False)
    payment_secret: str = field(default="", repr=False)
    public_url: str = "http://127.0.0.1:8080"
    api_key: str = field(default="", repr=False)
    secret_keys: tuple[str, ...] = field(default=(), repr=False)
    host: str = "127.0.0.1"
    port: int = 8080
    sandbox_port: int = 8081
    max_body_bytes: int = 1_048_576
    smtp_url: str = field(default="", repr=False)
    mail_from: str = ""
    collect: str = "live"
    log_format: str = "text"
    web_processes: int = 2
    worker_processes: int = 2
    worker_threads: int = 8
    settle_together: int = 32
    reconcile_hours: int = 24
    api_addresses: str = "public"
    rate_connection: int = 5_000
    rate_key: int = 1_000
    plans_dir: Path | None = None

    @classmethod
    def load(cls, environ: Mapping[str, str]) -> "Settings":
        """Reads all settings; makes and stores (0600, in DATA_DIR) the secrets that are not set.

        Raises SettingsError naming every fault at once.
        """
        reader = _Reader(environ)
        settings = _read(reader)
        if not reader.faults:
            settings = _with_kept_secrets(settings, reader)
        if reader.faults:
            raise SettingsError(reader.faults)
        found = running_addresses(settings.data_dir)
        return replace(
            settings,
            database_url=settings.database_url or found.get("database_url", ""),
            redis_url=settings.redis_url or found.get("redis_url", ""),
            payment_url=settings.payment_url or found.get("payment_url", ""),
        )

    @property
    def plans(self) -> Path:
        """The directory of the operator's own plan files; it need not be there."""
        return self.plans_dir or self.data_dir / "plans"

    @cached_property
    def vault(self) -> MultiFernet:
        """Encrypts stored secrets with the first key, decrypts with any."""
        return MultiFernet([Fernet(key) for key in self.secret_keys])

    def need(self, *names: str) -> None:
        """Raises SettingsError naming each of the addresses `names` (such as `database_url`) that is not known."""
        way_out = f"is not set and no `sekisu up` runs on {self.data_dir}; set it, or start `sekisu up`"
        missing = [name for name in names if not getattr(self, name)]
        if missing:
            raise SettingsError([f"SEKISU_{name.upper()} {way_out}" for name in missing])

    def environ(self) -> dict[str, str]:
        """The `SEKISU_*` variables that make `load` give these settings again; `up` hands them to its children."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        values["secret_key"] = ",".join(values.pop("secret_keys"))
        return {f"SEKISU_{name.upper()}": str(value) for name, value in values.items() if value not in ("", None)}


def names() -> list[str]:
    """Every variable that `load` reads (each also with `_FILE` at its end)."""
    plural = {"secret_keys": "secret_key"}
    return [f"SEKISU_{plural.get(item.name, item.name).upper()}" for item in fields(Settings)]


class _Reader:
    """Reads single settings and collects what is wrong with them instead of stopping at the first."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.faults: list[str] = []

    def text(self, name: str) -> str:
        variable = f"SEKISU_{name}"
        direct, path = self.environ.get(variable, "").strip(), self.environ.get(f"{variable}_FILE", "").strip()
        if direct and path:
            self.faults.append(f"{variable} and {variable}_FILE are both set; unset one of them")
        if not path or direct:
            return direct
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            self.faults.append(f"{variable}_FILE names {path}, which cannot be read ({_reason(error)})")
            return ""

    def whole(self, name: str, default: int, least: int, most: int) -> int:
        text = self.text(name)
        if not text:
            return default
        if text.isascii() and text.isdigit() and least <= int(text) <= most:
            return int(text)
        self.faults.append(f"SEKISU_{name} must be a whole number from {least} to {most}, not {text!r}")
        return default

    def choice(self, name: str, allowed: tuple[str, ...]) -> str:
        text = self.text(name) or allowed[0]
        if text not in allowed:
            self.faults.append(f"SEKISU_{name} must be one of {', '.join(allowed)}, not {text!r}")
        return text

    def url(self, name: str, schemes: tuple[str, ...]) -> str:
        """An address; its value is never repeated in a fault, because it may carry a password."""
        text = self.text(name)
        if not text:
            return ""
        try:
            parts = urlsplit(text)
            good = parts.scheme in schemes and (bool(parts.hostname) or not parts.scheme.startswith("http"))
            good = good and (parts.port is None or parts.port > 0)
        except ValueError:
            good = False
        if not good:
            wanted = " or ".join(f"{scheme}://" for scheme in schemes)
            self.faults.append(f"SEKISU_{name} must be an address that begins with {wanted}")
        return text

    def payment_secret(self) -> str:
        text = self.text("PAYMENT_SECRET")
        if text and not all(_is_payment_secret(part.strip()) for part in text.replace("\n", ",").split(",")):
            wanted = "whsec_ followed by the base64 of 24 to 64 bytes, or several of these with commas between"
            self.faults.append(f"SEKISU_PAYMENT_SECRET must be {wanted}")
        return text

    def folder(self, name: str) -> Path | None:
        text = self.text(name)
        return Path(text).expanduser().absolute() if text else None

    def data_dir(self) -> Path:
        text = self.text("DATA_DIR")
        if text:
            return Path(text).expanduser().absolute()
        share = self.environ.get("XDG_DATA_HOME", "")
        return (Path(share) if share else Path.home() / ".local" / "share") / "sekisu"


def _read(reader: _Reader) -> Settings:
    port = reader.whole("PORT", 8080, 1, 65_535)
    database_url = reader.url("DATABASE_URL", ("postgresql", "postgres"))
    if database_url.startswith("postgres:"):
        database_url = "postgresql" + database_url.removeprefix("postgres")
    return Settings(
        data_dir=reader.data_dir(),
        database_url=database_url,
        redis_url=reader.url("REDIS_URL", ("redis", "rediss", "unix")),
        payment_url=reader.url("PAYMENT_URL", ("http", "https")).rstrip("/"),
        payment_secret=reader.payment_secret(),
        public_url=reader.url("PUBLIC_URL", ("http", "https")).rstrip("/") or f"http://127.0.0.1:{port}",
        api_key=reader.text("API_KEY"),
        secret_keys=fernet_keys(reader.text("SECRET_KEY")),
        host=reader.text("HOST") or "127.0.0.1",
        port=port,
        sandbox_port=reader.whole("SANDBOX_PORT", min(port + 1, 65_535), 1, 65_535),
        max_body_bytes=reader.whole("MAX_BODY_BYTES", 1_048_576, 1_024, 1_073_741_824),
        smtp_url=reader.url("SMTP_URL", ("smtp", "smtps")),
        mail_from=reader.text("MAIL_FROM"),
        collect=reader.choice("COLLECT", ("live", "shadow", "paused")),
        log_format=reader.choice("LOG_FORMAT", ("text", "json")),
        web_processes=reader.whole("WEB_PROCESSES", 2, 1, 64),
        worker_processes=reader.whole("WORKER_PROCESSES", 2, 1, 64),
        worker_threads=reader.whole("WORKER_THREADS", 8, 1, 256),
        settle_together=reader.whole("SETTLE_TOGETHER", 32, 1, 500),
        reconcile_hours=reader.whole("RECONCILE_HOURS", 24, 0, 8_760),
        api_addresses=reader.choice("API_ADDRESSES", ("public", "any")),
        rate_connection=reader.whole("RATE_CONNECTION", 5_000, 0, 1_000_000),
        rate_key=reader.whole("RATE_KEY", 1_000, 0, 1_000_000),
        plans_dir=reader.folder("PLANS_DIR"),
    )


def _with_kept_secrets(settings: Settings, reader: _Reader) -> Settings:
    folder = settings.data_dir
    try:
        settings = replace(
            settings,
            secret_keys=settings.secret_keys or fernet_keys(_kept(folder / "secret-key", _made_fernet_key)),
            payment_secret=settings.payment_secret or _kept(folder / "payment-secret", _made_payment_secret),
            api_key=settings.api_key or _kept(folder / "api-key", _made_api_key),
        )
    except (OSError, UnicodeDecodeError) as error:
        reader.faults.append(
            f"the data directory {folder} is not writable ({_reason(error)}); set SEKISU_DATA_DIR to a folder that "
            "this user may write to, or set all of SEKISU_SECRET_KEY, SEKISU_PAYMENT_SECRET and SEKISU_API_KEY"
        )
    else:
        empty = [name for name in SECRET_FILES if not getattr(settings, _FIELD_OF_FILE[name])]
        reader.faults += [f"{folder / name} is empty; bring it back from a backup, or delete it" for name in empty]
    return settings


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)


def fernet_keys(text: str) -> tuple[str, ...]:
    """The Fernet keys of a comma or newline separated list; any other string is a passphrase, digested to a key."""
    parts = [part.strip() for part in text.replace("\n", ",").split(",")]
    return tuple(part if _is_fernet_key(part) else _digested(part) for part in parts if part)


def _digested(passphrase: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(passphrase.encode()).digest()).decode()


def _is_fernet_key(text: str) -> bool:
    try:
        return len(base64.urlsafe_b64decode(text)) == 32
    except (binascii.Error, ValueError):
        return False


def _is_payment_secret(text: str) -> bool:
    try:
        return text.startswith("whsec_") and 24 <= len(base64.b64decode(text[6:], validate=True)) <= 64
    except (binascii.Error, ValueError):
        return False


def _made_fernet_key() -> str:
    return Fernet.generate_key().decode()


def _made_payment_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def _made_api_key() -> str:
    return "sekisu_" + secrets.token_urlsafe(32)


def _kept(path: Path, make: Callable[[], str]) -> str:
    """The secret in `path`; made and stored 0600 when there is none. Two processes that start at once agree on one."""
    with contextlib.suppress(FileNotFoundError):
        return path.read_text(encoding="utf-8").strip()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=".new-")  # mkstemp makes it 0600
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(make() + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    # A hard link appears whole or not at all, and never over another process's secret.
    with contextlib.suppress(FileExistsError):
        Path(path).hardlink_to(draft)
    Path(draft).unlink()
    return path.read_text(encoding="utf-8").strip()


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    handle = os.open(path, os.O_RDONLY)
    try:
        yield handle
    finally:
        os.close(handle)


def is_running(data_dir: Path) -> bool:
    """True while a `sekisu up` on this data directory lives (the kernel frees its lock when it dies)."""
    try:
        with _opened(data_dir / LOCK_FILE) as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def running_addresses(data_dir: Path) -> dict[str, str]:
    """The engines' addresses that a living `sekisu up` on this data directory has written; empty when none lives."""
    if not is_running(data_dir):
        return {}
    try:
        found = json.loads((data_dir / RUNNING_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {name: str(found[name]) for name in ADDRESSES if found.get(name)}
