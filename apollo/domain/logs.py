"""What the hooks of a host's turn print while it runs: what is asked, and what is answered."""

from apollo.domain.base import Wire
from apollo.domain.fleet import Host


class LogRequest(Wire):
    """What starts `Logs`: what has a host printed beyond what was seen?"""

    application: str = ""
    environment: str = ""
    host: str = ""
    deployment: str = ""
    """The uuid of the deployment of which something was seen, and the turn."""
    turn: int | None = None
    seen: dict[str, int] = {}
    """How many bytes were seen of each of its steps."""
    poll: int = 0
    """Seconds to wait for something new."""


class LogTarget(Wire):
    """The host whose turn may be under way."""

    label: str = ""
    """`shop/prod#42`."""
    deployment: str = ""
    under_way: bool = False
    """Whether the host's turn has not ended."""
    host: Host | None = None
    host_keys: tuple[str, ...] = ()
    first_use: bool = False
    own_workers: bool = False
    root: str = ""


class LogRead(Wire):
    """Read on the host what was asked for."""

    request: LogRequest
    target: LogTarget


class LogPart(Wire):
    """What one step has printed since."""

    step: str
    text: str = ""
    begin: int = 0
    """Where the text begins, in bytes since the step began; more than was seen: some is missing."""
    end: int = 0
    """Where it ends: what is seen next time."""
    exit: int | None = None
    running: bool = False


class HostLog(Wire):
    """What a host's turn has printed; without secrets and control characters."""

    label: str = ""
    """Whose turn it is: `shop/prod#42`; empty: no turn of the host is under way."""
    deployment: str = ""
    turn: int | None = None
    under_way: bool = False
    """Whether more may come."""
    running: str = ""
    """The phase at work there."""
    parts: tuple[LogPart, ...] = ()
