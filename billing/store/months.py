"""The months that raw bodies lie in: made ahead, and dropped whole when nobody wants them any more."""

from collections.abc import Sequence
from datetime import date

from billing.core.errors import ConflictError
from billing.store.db import Conn, Row, many

#: Months made ahead of the running one: nobody notices a ticker that stood still for weeks.
AHEAD = 2


def make_ahead(connection: Conn) -> None:
    """Make the months to come. Bodies of a month nobody made are kept too, but cannot leave cheaply."""
    connection.execute("SELECT months_ahead(%s)", (AHEAD,))


def before(connection: Conn, day: date) -> list[Row]:
    """The months (`month`, `name`, `wanted`) that end before a UTC day, the oldest first. `wanted`: deliveries of it
    that are not read, or that wait for a person."""
    return many(connection, "SELECT * FROM months_before(%s)", (day,))


def drop(connection: Conn, months: Sequence[Row]) -> None:
    """Drop the bodies of months. Raises ConflictError when one of them is still wanted: then none is dropped."""
    wanted = [f"{row['month'].replace('_', '-')} ({row['wanted']})" for row in months if row["wanted"]]
    if wanted:
        raise ConflictError(
            f"deliveries that are kept, parked or quarantined would lose their bodies: {', '.join(wanted)}; "
            "look at them with GET /v1/deliveries, replay or settle what waits, or name an earlier month"
        )
    for row in months:
        connection.execute("SELECT drop_month(%s)", (row["name"],))
