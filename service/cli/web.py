"""Serves webhooks, callbacks and the API over HTTP."""

import gc
import os
import resource
from types import ModuleType

import click
from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server import Server

from billing.settings import Settings
from service import app
from service.cli import lifeline, logs
from service.cli.ports import check_port

#: Connections one process accepts at a time; further ones wait in the listen queue.
_CONNECTIONS = 1024
#: Milliseconds that the head of a request may take, and that a connection may lie idle.
_HEAD_MS = 10_000


@click.command()
def command() -> None:
    """Serves webhooks, callbacks and the API until it is asked to stop."""
    settings = Settings.load(os.environ)
    settings.need("database_url", "redis_url", "payment_url")
    check_port(settings.host, settings.port, "SEKISU_PORT")
    lifeline.hold()
    _raise_file_limit()
    share_memory(app)
    Server(
        "service.asgi:app",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,  # one HTTP/2 connection could hold two hundred threads
        http1_settings=HTTP1Settings(header_read_timeout=_HEAD_MS),
        loop=Loops.asyncio,
        websockets=False,
        workers=settings.web_processes,
        backpressure=_CONNECTIONS,
        backlog=2048,
        respawn_failed_workers=True,
        workers_kill_timeout=10,
        log_level=LogLevels.error,
        log_dictconfig=logs.config(settings.log_format),
    ).serve()


def share_memory(*_loaded: ModuleType) -> None:
    """Keeps what is imported so far in memory that the forks share: no collection touches, and so copies, its pages."""
    gc.freeze()


def _raise_file_limit() -> None:
    """Asks for as many open files as the system lets us: a connection is one, and some systems begin at 256."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
