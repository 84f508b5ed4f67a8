"""Roots that the next turns of their hosts take over."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table of adoptions."""
    op.create_table(
        "adoptions",
        sa.Column("application", sa.String(length=63), nullable=False),
        sa.Column("environment", sa.String(length=63), nullable=False),
        sa.Column("host", sa.String(length=253), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["application", "environment"],
            ["environments.application", "environments.name"],
            name=op.f("fk_adoptions_application"),
        ),
        sa.PrimaryKeyConstraint("application", "environment", "host", name=op.f("pk_adoptions")),
    )
