"""Runs the SQL file beside it."""

from pathlib import Path

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Apply; there is no way down but a backup."""
    sql = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    # The driver reads % as the start of a parameter.
    op.get_bind().exec_driver_sql(sql.replace("%", "%%"))
