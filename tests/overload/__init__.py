"""More than the service can take, and senders that take for ever: `python -m tests.overload` runs the full measure."""
