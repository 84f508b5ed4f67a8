"""The catalog's tables. Whatever changes here needs a migration; a test compares the two."""

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """A moment: aware on the way in, UTC on the way out, also where the database has no zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Store UTC; a naive time is a bug."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a time without a zone: {value}")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Read UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Words(TypeDecorator[str]):
    """Text that people or hosts wrote: whatever it holds, the database can hold it."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Replace what PostgreSQL does not store: NUL, and halves of characters."""
        if value is None:
            return None
        return value.replace("\0", "\ufffd").encode(errors="replace").decode()


metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)
# SQLite counts rows up by itself only where the key is INTEGER.
_Counter = BigInteger().with_variant(Integer, "sqlite")


def _of_environment(*, key: bool = True) -> list[Column[str] | ForeignKeyConstraint]:
    return [
        Column("application", String(63), primary_key=key, nullable=False),
        Column("environment", String(63), primary_key=key, nullable=False),
        ForeignKeyConstraint(
            ["application", "environment"], ["environments.application", "environments.name"]
        ),
    ]


catalog = Table("catalog", metadata, Column("uuid", String(36), primary_key=True))

applications = Table(
    "applications",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("pipeline", JSON, nullable=False),
)

environments = Table(
    "environments",
    metadata,
    Column("application", ForeignKey("applications.name"), primary_key=True),
    Column("name", String(63), primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("last_number", Integer, nullable=False),
    Column("last_granted_ms", BigInteger, nullable=False),
)

environment_revisions = Table(
    "environment_revisions",
    metadata,
    *_of_environment(),
    Column("revision", Integer, primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("spec", JSON, nullable=False),
    Column("applied_at", UtcDateTime, nullable=False),
    Column("applied_by", Words, nullable=False),
    Column("reason", Words, nullable=False),
)

releases = Table(
    "releases",
    metadata,
    Column("application", ForeignKey("applications.name"), primary_key=True),
    Column("version", String(128), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("spec", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", Words, nullable=False),
)

deployments = Table(
    "deployments",
    metadata,
    Column("uuid", String(36), primary_key=True),
    *_of_environment(key=False),
    Column("number", Integer, nullable=False),
    Column("workflow_id", Text, nullable=False, unique=True),
    Column("run_id", Text, nullable=False),
    Column("kind", String(20), nullable=False),
    Column("release", String(128), nullable=False),
    Column("previous_release", String(128), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("whole_fleet", Boolean, nullable=False),
    Column("state", String(20), nullable=False),
    Column("detail", Words, nullable=False),
    Column("by", Words, nullable=False),
    Column("reason", Words, nullable=False),
    Column("request", JSON, nullable=False),
    Column("plan", JSON(none_as_null=True)),
    Column("hosts", Integer, nullable=False),
    Column("granted_ms", BigInteger, nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    UniqueConstraint("application", "environment", "number"),
    Index(None, "application", "environment", "state", "number"),
)

deployment_hosts = Table(
    "deployment_hosts",
    metadata,
    Column("deployment", ForeignKey("deployments.uuid"), primary_key=True),
    Column("phase", String(8), primary_key=True),
    Column("host", String(253), primary_key=True),
    Column("order", Integer, nullable=False),
    Column("wave", Integer, nullable=False),
    Column("batch", Integer, nullable=False),
    Column("location", String(63), nullable=False),
    Column("role", Text),
    Column("group", Integer, nullable=False),
    Column("was_out", Boolean, nullable=False),
    Column("was_broken", Boolean, nullable=False),
    Column("expected_current", Boolean, nullable=False),
    Column("check_only", Boolean, nullable=False),
    Column("manifest", String(64)),
    Column("previous_manifest", String(64)),
    Column("previous_release", String(128)),
    Column("turns", Integer, nullable=False),
    Column("again", Integer, nullable=False, server_default="0"),
    Column("outcome", String(20)),
    Column("ran", String(64)),
    Column("step", Words, nullable=False),
    Column("error", Words, nullable=False),
    Column("message", Words, nullable=False),
    Column("attached", JSON, nullable=False),
    Column("record", JSON(none_as_null=True)),
    Column("started_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Index(None, "deployment", "phase", "wave", "batch", "order"),
    Index(None, "host", "deployment"),
)

outputs = Table(
    "outputs",
    metadata,
    Column("deployment", ForeignKey("deployments.uuid"), primary_key=True),
    Column("host", String(253), primary_key=True),
    Column("turn", Integer, primary_key=True),
    Column("step", String(100), primary_key=True),
    Column("place", Integer, nullable=False),
    Column("exit", Integer),
    Column("seconds", Float),
    Column("text", Words, nullable=False),
    Column("cut", BigInteger, nullable=False),
)

host_state = Table(
    "host_state",
    metadata,
    *_of_environment(),
    Column("host", String(253), primary_key=True),
    Column("serving", String(20), nullable=False),
    Column("manifest", String(64)),
    Column("release", String(128)),
    Column("failed_last", Boolean, nullable=False),
    Column("disabled_reason", Words),
    Column("since", UtcDateTime, nullable=False),
    Column("deployment", String(36), nullable=False),
    Column("granted_ms", BigInteger, nullable=False),
    Column("number", Integer, nullable=False),
    Column("turn", Integer, nullable=False),
)

host_history = Table(
    "host_history",
    metadata,
    Column("id", _Counter, primary_key=True, autoincrement=True),
    *_of_environment(key=False),
    Column("host", String(253), nullable=False),
    Column("from", UtcDateTime, nullable=False),
    Column("until", UtcDateTime),
    Column("serving", String(20), nullable=False),
    Column("manifest", String(64)),
    Column("release", String(128)),
    Column("failed_last", Boolean, nullable=False),
    Column("disabled_reason", Words),
    Column("deployment", String(36), nullable=False),
    Index(None, "application", "environment", "host", "from"),
)

host_keys = Table(
    "host_keys",
    metadata,
    *_of_environment(),
    Column("host", String(253), primary_key=True),
    Column("line", Text, primary_key=True),
    Column("added_at", UtcDateTime, nullable=False),
    Column("added_by", Words, nullable=False),
    Column("reason", Words, nullable=False),
)

adoptions = Table(
    "adoptions",
    metadata,
    *_of_environment(),
    Column("host", String(253), primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("by", Words, nullable=False),
    Column("reason", Words, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    *_of_environment(),
    Column("workflow_id", Text, nullable=False, unique=True),
    Column("run_id", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("granted_ms", BigInteger, nullable=False),
)

promotions = Table(
    "promotions",
    metadata,
    Column("uuid", String(36), primary_key=True),
    Column("application", ForeignKey("applications.name"), nullable=False),
    Column("release", String(128), nullable=False),
    Column("workflow_id", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    # Where it is, and whether at that stage's gate: what rivals see, written by their transactions.
    Column("stage", String(63), nullable=False),
    Column("at_gate", Boolean, nullable=False),
    Column("superseded_by", String(128), nullable=False),
    Column("held", Boolean, nullable=False),
    Column("state", String(20), nullable=False),
    Column("detail", Words, nullable=False),
    Column("stages", JSON, nullable=False),
    Column("by", Words, nullable=False),
    Column("reason", Words, nullable=False),
    Column("request", JSON, nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    UniqueConstraint("workflow_id", "run_id"),
    Index(None, "application", "ended_at", "stage"),
)

audit = Table(
    "audit",
    metadata,
    Column("id", _Counter, primary_key=True, autoincrement=True),
    Column("at", UtcDateTime, nullable=False),
    Column("identity", Words, nullable=False),
    Column("identity_kind", String(10), nullable=False),
    Column("application", String(63), nullable=False),
    Column("environment", String(63), nullable=False),
    Column("deployment", String(36), nullable=False),
    Column("action", String(40), nullable=False),
    Column("reason", Words, nullable=False),
    Column("detail", JSON, nullable=False),
    Column("control", Text),
    # Where there is no control id, there is NULL, and NULLs do not clash.
    UniqueConstraint("deployment", "control"),
    Index(None, "application", "environment", "id"),
)
