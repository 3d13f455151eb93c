"""Saves the database and the secret files in one archive that only its owner may read."""

import io
import json
import os
import tarfile
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import click

from billing.core.errors import SekisuError
from billing.settings import SECRET_FILES, Settings
from billing.store.migrate import current
from service.cli import pgtools

#: Names of the archive's members beside the secret files.
DUMP, MANIFEST = "database.dump", "manifest.json"


class EmptyError(SekisuError):
    """Nothing would be saved: a backup that holds nothing is worse than none."""

    code = "empty"


@click.command()
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
def command(path: Path) -> None:
    """Saves the database and the secret files in the new archive PATH (0600: it can read every stored secret)."""
    if path.exists():
        raise click.UsageError(f"{path} is there already; name another file")
    settings = Settings.load(os.environ)
    with pgtools.there(settings) as url, tempfile.TemporaryDirectory() as folder:
        if not pgtools.has_tables(url):
            raise EmptyError(
                "the database is empty, so there is nothing to save: is another one meant? It is named by "
                f"SEKISU_DATA_DIR (now {settings.data_dir}) or SEKISU_DATABASE_URL"
            )
        dump = Path(folder) / DUMP
        pgtools.run("pg_dump", url, "--format=custom", "--no-owner", f"--file={dump}")
        manifest: dict[str, object] = {
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "revision": current(url),
            "roles": pgtools.granted_roles(url),
        }
        kept = _pack(path, dump, manifest, settings.data_dir)
    click.echo(f"saved in {path}: the database" + "".join(f", {name}" for name in kept))
    if "secret-key" not in kept or os.environ.get("SEKISU_SECRET_KEY") or os.environ.get("SEKISU_SECRET_KEY_FILE"):
        click.echo("the secret key in use is set outside the data directory and not in the archive: keep it as well")


def _pack(path: Path, dump: Path, manifest: dict[str, object], data_dir: Path) -> list[str]:
    """Writes the archive, whole or not at all; returns the names of the secret files in it."""
    kept = [name for name in SECRET_FILES if (data_dir / name).is_file()]
    handle, draft = tempfile.mkstemp(dir=path.absolute().parent, prefix=".backup-")  # mkstemp makes it 0600
    try:
        with os.fdopen(handle, "wb") as stream, tarfile.open(fileobj=stream, mode="w") as archive:
            text = json.dumps(manifest, indent=2).encode()
            entry = tarfile.TarInfo(MANIFEST)
            entry.size, entry.mode = len(text), 0o600
            archive.addfile(entry, io.BytesIO(text))
            archive.add(dump, DUMP, filter=_owned_by_nobody_in_particular)
            for name in kept:
                archive.add(data_dir / name, name, filter=_owned_by_nobody_in_particular)
        Path(draft).rename(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    return kept


def _owned_by_nobody_in_particular(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o600
    return entry
