"""`apollo schema`."""

from typing import Annotated, Literal

from cyclopts import Parameter

from apollo.cli.render.terminal import show_json
from apollo.files.schema import schema as schema_of

Kind = Annotated[
    Literal["project", "environment", "inventory"],
    Parameter(help="Of which file.", show_default=True),
]


def schema(kind: Kind = "project", /) -> int:
    """Print the JSON Schema of apollo.yaml, for editors."""
    show_json(schema_of(kind))
    return 0
