"""Brings back what `backup` saved: the database and the secret files."""

import json
import os
import shutil
import tarfile
import tempfile
from pathlib import Path

import click

from billing.core.errors import SekisuError
from billing.settings import SECRET_FILES, Settings, is_running
from service.cli import pgtools
from service.cli.backup import DUMP, MANIFEST


class RestoreError(SekisuError):
    """The archive cannot be restored here; the message says why and what to do."""

    code = "restore"


@click.command()
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="Drop what the database holds first.")
def command(path: Path, force: bool) -> None:
    """Brings back the database and the secret files from PATH, into an empty database unless --force."""
    settings = Settings.load(os.environ)
    if is_running(settings.data_dir):
        raise RestoreError(f"`sekisu up` runs on {settings.data_dir}; stop it first")
    with tempfile.TemporaryDirectory() as folder:
        _unpack(path, Path(folder))
        with pgtools.database(settings) as url:
            if pgtools.has_tables(url) and not force:
                raise RestoreError("the database is not empty; name an empty one, or add --force to drop what it holds")
            manifest = json.loads((Path(folder) / MANIFEST).read_text(encoding="utf-8"))
            pgtools.make_roles(url, manifest.get("roles", []))
            if force:
                pgtools.drop_everything(url)
            pgtools.run("pg_restore", url, "--no-owner", "--single-transaction", str(Path(folder) / DUMP))
        kept = _bring_back(Path(folder), settings.data_dir)
    _tell(settings, kept, manifest)


def _unpack(path: Path, folder: Path) -> None:
    """Copies the members we know into `folder`, by content alone: no path, owner or link of the archive counts."""
    found = set()
    try:
        with tarfile.open(path) as archive:
            for name in (DUMP, MANIFEST, *SECRET_FILES):
                if name in archive.getnames() and (stream := archive.extractfile(name)):
                    with (folder / name).open("wb") as copy:
                        shutil.copyfileobj(stream, copy)
                    found.add(name)
    except tarfile.TarError:
        found = set()
    if not {DUMP, MANIFEST} <= found:
        raise RestoreError(f"{path} is not an archive that `sekisu backup` made")


def _bring_back(folder: Path, data_dir: Path) -> list[str]:
    """Puts the secret files into the data directory; one that differs stays beside it as `.before-restore`."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    kept = [name for name in SECRET_FILES if (folder / name).is_file()]
    for name in kept:
        text, target = (folder / name).read_bytes(), data_dir / name
        if target.is_file() and target.read_bytes() != text:
            target.rename(target.with_name(f"{name}.before-restore"))
        draft = target.with_name(f"{name}.restoring")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(text)
        draft.rename(target)
    return kept


def _tell(settings: Settings, kept: list[str], manifest: dict[str, object]) -> None:
    click.echo(f"restored: the database of {manifest.get('created_at')}" + "".join(f", {name}" for name in kept))
    key_is_set = os.environ.get("SEKISU_SECRET_KEY") or os.environ.get("SEKISU_SECRET_KEY_FILE")
    if "secret-key" in kept and not key_is_set:
        click.echo(f"stored secrets are read with {settings.data_dir / 'secret-key'}, which came with the backup")
    elif "secret-key" in kept:
        click.echo(f"SEKISU_SECRET_KEY is set: it must include the key in {settings.data_dir / 'secret-key'}")
    else:
        click.echo("the backup has no secret key: set SEKISU_SECRET_KEY to the one that was in use when it was made")
