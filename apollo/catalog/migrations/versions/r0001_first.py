"""The first tables."""

from uuid import uuid4

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables, and name the catalog for good."""
    op.create_table(
        "applications",
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("pipeline", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_applications")),
    )
    op.create_table(
        "audit",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("identity_kind", sa.String(length=10), nullable=False),
        sa.Column("application", sa.String(length=63), nullable=False),
        sa.Column("environment", sa.String(length=63), nullable=False),
        sa.Column("deployment", sa.String(length=36), nullable=False),
        sa.Column("action", sa.String(length=40), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("control", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
        sa.UniqueConstraint("deployment", "control", name=op.f("uq_audit_deployment_control")),
    )
    op.create_index(
        op.f("ix_audit_application_environment_id"),
        "audit",
        ["application", "environment", "id"],
        unique=False,
    )
    op.create_table(
        "catalog",
        sa.Column("uuid", sa.String(length=36), nullable=False),
        sa.PrimaryKeyConstraint("uuid", name=op.f("pk_catalog")),
    )
    op.create_table(
        "environments",
        sa.Column("application", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("last_number", sa.Integer(), nullable=False),
        sa.Column("last_granted_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["application"], ["applications.name"], name=op.f("fk_environments_application")
        ),
        sa.PrimaryKeyConstraint("application", "name", name=op.f("pk_environments")),
    )
    op.create_table(
        "releases",
        sa.Column("application", sa.String(length=63), nullable=False),
        sa.Column("version", sa.String(length=128), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["application"], ["applications.name"], name=op.f("fk_releases_application")
        ),
        sa.PrimaryKeyConstraint("application", "version", name=op.f("pk_releases")),
    )
    op.create_table(
        "deployments",
        sa.Column("uuid", sa.String(length=36), nullable=False),
        sa.Column("application", sa.String(length=63), nullable=False),
        sa.Column("environment", sa.String(length=63), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("release", sa.String(length=128), nullable=False),
        sa.Column("previous_release", sa.String(length=128), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("whole_fleet", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("request", sa.JSON(), nullable=False),
        sa.Column("plan", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("hosts", sa.Integer(), nullable=False),
        sa.Column("granted_ms", sa.BigInteger(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["application", "environment"],
            ["environments.application", "environments.name"],
            name=op.f("fk_deployments_application"),
        ),
        sa.PrimaryKeyConstraint("uuid", name=op.f("pk_deployments")),
        sa.UniqueConstraint(
            "application",
            "environment",
            "number",
            name=op.f("uq_deployments_application_environment_number"),
        ),
        sa.UniqueConstraint("workflow_id", name=op.f("uq_deployments_workflow_id")),
    )
    op.create_index(
        op.f("ix_deployments_application_environment_state_number"),
        "deployments",
        ["application", "environment", "state", "number"],
        unique=False,
    )
    op.create_table(
        "environment_revisions",
        sa.Column("application", sa.String(length=63), nullable=False),
        sa.Column("environment", sa.String(length=63), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("applied_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("applied_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["application", "environment"],
            ["environments.application", "environments.name"],
            name=op.f("fk_environment_revisions_application"),
        ),
        sa.PrimaryKeyConstraint(
            "application", "environment", "revision", name=op.f("pk_environment_revisions")
        ),
    )
    op.create_table(
        "host_history",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("application", sa.String(length=63), nullable=False),
        sa.Column("environment", sa.String(length=63), nullable=False),
        sa.Column("host", sa.String(length=253), nullable=False),
        sa.Column("from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("serving", sa.String(length=20), nullable=False),
        sa.Column("manifest", sa.String(length=64), nullable=True),
        sa.Column("release", sa.String(length=128), nullable=True),
        sa.Column("failed_last", sa.Boolean(), nullable=False),
        sa.Column("disabled_reason", sa.Text(), nullable=True),
        sa.Column("deployment", sa.String(length=36), nullable=False),
        sa.ForeignKeyConstraint(
            ["application", "environment"],
            ["environments.application", "environments.name"],
            name=op.f("fk_host_history_application"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_host_history")),
    )
    op.create_index(
        op.f("ix_host_history_application_environment_host_from"),
        "host_history",
        ["application", "environment", "host", "from"],
        unique=False,
    )
    op.create_table(
        "host_keys",
        sa.Column("application", sa.String(length=63), nullable=False),
        sa.Column("environment", sa.String(length=63), nullable=False),
        sa.Column("host", sa.String(length=253), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("added_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["application", "environment"],
            ["environments.application", "environments.name"],
            name=op.f("fk_host_keys_application"),
        ),
        sa.PrimaryKeyConstraint(
            "application", "environment", "host", "line", name=op.f("pk_host_keys")
        ),
    )
    op.create_table(
        "host_state",
        sa.Column("application", sa.String(length=63), nullable=False),
        sa.Column("environment", sa.String(length=63), nullable=False),
        sa.Column("host", sa.String(length=253), nullable=False),
        sa.Column("serving", sa.String(length=20), nullable=False),
        sa.Column("manifest", sa.String(length=64), nullable=True),
        sa.Column("release", sa.String(length=128), nullable=True),
        sa.Column("failed_last", sa.Boolean(), nullable=False),
        sa.Column("disabled_reason", sa.Text(), nullable=True),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deployment", sa.String(length=36), nullable=False),
        sa.Column("granted_ms", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["application", "environment"],
            ["environments.application", "environments.name"],
            name=op.f("fk_host_state_application"),
        ),
        sa.PrimaryKeyConstraint("application", "environment", "host", name=op.f("pk_host_state")),
    )
    op.create_table(
        "leases",
        sa.Column("application", sa.String(length=63), nullable=False),
        sa.Column("environment", sa.String(length=63), nullable=False),
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("granted_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["application", "environment"],
            ["environments.application", "environments.name"],
            name=op.f("fk_leases_application"),
        ),
        sa.PrimaryKeyConstraint("application", "environment", name=op.f("pk_leases")),
        sa.UniqueConstraint("workflow_id", name=op.f("uq_leases_workflow_id")),
    )
    op.create_table(
        "deployment_hosts",
        sa.Column("deployment", sa.String(length=36), nullable=False),
        sa.Column("phase", sa.String(length=8), nullable=False),
        sa.Column("host", sa.String(length=253), nullable=False),
        sa.Column("order", sa.Integer(), nullable=False),
        sa.Column("wave", sa.Integer(), nullable=False),
        sa.Column("batch", sa.Integer(), nullable=False),
        sa.Column("location", sa.String(length=63), nullable=False),
        sa.Column("role", sa.Text(), nullable=True),
        sa.Column("group", sa.Integer(), nullable=False),
        sa.Column("was_out", sa.Boolean(), nullable=False),
        sa.Column("was_broken", sa.Boolean(), nullable=False),
        sa.Column("expected_current", sa.Boolean(), nullable=False),
        sa.Column("check_only", sa.Boolean(), nullable=False),
        sa.Column("manifest", sa.String(length=64), nullable=True),
        sa.Column("previous_manifest", sa.String(length=64), nullable=True),
        sa.Column("previous_release", sa.String(length=128), nullable=True),
        sa.Column("turns", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(length=20), nullable=True),
        sa.Column("ran", sa.String(length=64), nullable=True),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("attached", sa.JSON(), nullable=False),
        sa.Column("record", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["deployment"], ["deployments.uuid"], name=op.f("fk_deployment_hosts_deployment")
        ),
        sa.PrimaryKeyConstraint("deployment", "phase", "host", name=op.f("pk_deployment_hosts")),
    )
    op.create_index(
        op.f("ix_deployment_hosts_deployment_phase_wave_batch_order"),
        "deployment_hosts",
        ["deployment", "phase", "wave", "batch", "order"],
        unique=False,
    )
    op.create_index(
        op.f("ix_deployment_hosts_host_deployment"),
        "deployment_hosts",
        ["host", "deployment"],
        unique=False,
    )
    op.execute(sa.text("INSERT INTO catalog (uuid) VALUES (:uuid)").bindparams(uuid=str(uuid4())))
