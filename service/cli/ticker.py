"""Makes time pass: finds due work and what the bell missed."""

import logging.config
import os

import click

from billing.settings import Settings
from service.cli import background, lifeline, logs
from workers import ticker


@click.command()
def command() -> None:
    """Finds due work and what the bell missed until it is asked to stop."""
    settings = Settings.load(os.environ)
    settings.need("database_url", "redis_url", "payment_url")  # it sends what the bell missed
    logging.config.dictConfig(logs.config(settings.log_format))
    lifeline.hold()
    background.step_back()
    ticker.run(settings)
