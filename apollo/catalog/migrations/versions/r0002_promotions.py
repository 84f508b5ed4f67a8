"""Promotions."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table of promotions."""
    op.create_table(
        "promotions",
        sa.Column("uuid", sa.String(length=36), nullable=False),
        sa.Column("application", sa.String(length=63), nullable=False),
        sa.Column("release", sa.String(length=128), nullable=False),
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("stage", sa.String(length=63), nullable=False),
        sa.Column("at_gate", sa.Boolean(), nullable=False),
        sa.Column("superseded_by", sa.String(length=128), nullable=False),
        sa.Column("held", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("stages", sa.JSON(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("request", sa.JSON(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["application"], ["applications.name"], name=op.f("fk_promotions_application")
        ),
        sa.PrimaryKeyConstraint("uuid", name=op.f("pk_promotions")),
        sa.UniqueConstraint("workflow_id", "run_id", name=op.f("uq_promotions_workflow_id_run_id")),
    )
    op.create_index(
        op.f("ix_promotions_application_ended_at_stage"),
        "promotions",
        ["application", "ended_at", "stage"],
        unique=False,
    )
