"""Works: reads deliveries, settles workspaces, sends charges."""

import logging.config
import os
import signal
import threading

import click
import dramatiq

from billing.settings import Settings
from service.cli import background, crew, lifeline, logs
from workers import actors
from workers.jobs import Jobs

#: Messages a process takes from the broker at a time (Dramatiq's default caps a process at about 2,050 a second).
_PREFETCH = 64
#: Milliseconds an idle worker thread sleeps (Dramatiq's default adds 0.27 s to an idle start).
_IDLE_WAIT = 100
#: Seconds a process gets to finish what it began; a lease that is cut short is taken over, so this may be short.
_GRACE = 20.0


@click.command()
@click.option("--processes", type=click.IntRange(1, 64), help="Instead of SEKISU_WORKER_PROCESSES.")
@click.option("--threads", type=click.IntRange(1, 256), help="For each process, instead of SEKISU_WORKER_THREADS.")
def command(processes: int | None, threads: int | None) -> None:
    """Reads deliveries, settles workspaces and sends charges until it is asked to stop."""
    settings = Settings.load(os.environ)
    settings.need("database_url", "redis_url", "payment_url")
    logging.config.dictConfig(logs.config(settings.log_format))
    lifeline.hold()
    background.step_back()
    crew.run(
        processes or settings.worker_processes, lambda: _work(settings, threads or settings.worker_threads), _GRACE + 2
    )


def _work(settings: Settings, threads: int) -> None:
    """One Dramatiq worker, in a process of its own, until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    jobs = Jobs(settings)
    broker = actors.declare(jobs)
    broker.emit_after("process_boot")
    worker = dramatiq.Worker(broker, worker_timeout=_IDLE_WAIT, worker_threads=threads)
    worker.queue_prefetch = _PREFETCH
    worker.start()
    jobs.take_over()
    stop.wait()
    worker.stop(timeout=int(_GRACE * 1000))
    broker.close()
