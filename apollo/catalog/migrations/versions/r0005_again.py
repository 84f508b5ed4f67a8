"""Hosts that are due once more in a running deployment."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """No host is due again."""
    column = sa.Column("again", sa.Integer(), nullable=False, server_default="0")
    op.add_column("deployment_hosts", column)
