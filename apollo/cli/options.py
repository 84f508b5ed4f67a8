"""Parameters that several commands have."""

from typing import Annotated

from cyclopts import Parameter

Env = Annotated[str, Parameter(help="`prod` beside an apollo.yaml, `shop/prod` anywhere.")]
EnvOrApplication = Annotated[
    str,
    Parameter(help="`prod` beside an apollo.yaml, `shop/prod` anywhere; `shop`: all its stages."),
]
AnyEnv = Annotated[
    str, Parameter(help="`prod` beside an apollo.yaml, `shop/prod` anywhere; by default all.")
]
Json = Annotated[bool, Parameter(name="--json", help="Print JSON.")]
JsonLines = Annotated[bool, Parameter(name="--json", help="Print one line of JSON per change.")]
Yes = Annotated[bool, Parameter(name=["--yes", "-y"], help="Do not ask.")]
Reason = Annotated[str, Parameter(help="Why, for the audit.")]
Limit = Annotated[
    str | None,
    Parameter(help="Only these hosts: `role=web & fra1`, `@failed`, `web1*`, `!web7`."),
]
Redeploy = Annotated[bool, Parameter(help="Hosts that run it already have their turn too.")]
