"""What is told to whoever asked to be told of a deployment's states."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from apollo.domain.base import Wire
from apollo.domain.status import DeploymentState, Outcome

DETAIL = 2000
"""Characters of a detail that travel; the catalog has all of it."""
_TEXT = 500
_REFERENCES = ("env:", "file:")
_ESCAPED = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "@\u200b"}
"""What chats would read as markup, or as a call for everybody."""


class NotificationInput(Wire):
    """A deployment has come into a state of which webhooks are to be told."""

    deployment: str
    workflow_id: str
    label: str
    number: int
    """The deployment's first notification, or its second, and so on."""
    state: DeploymentState
    detail: str = ""
    at: str
    """When it came into the state, in UTC."""
    hooks: tuple[int, ...]
    """Which of the environment's webhooks, as the deployment found them."""


class NotifyInput(Wire):
    """Tell one webhook."""

    notification: NotificationInput
    hook: int

    @property
    def key(self) -> str:
        """The same for every attempt, and for nothing else."""
        given = self.notification
        return f"{given.deployment}/{given.number}-{given.state}/{self.hook}"


class Told(Wire):
    """What the catalog knows of the deployment."""

    release: str
    previous_release: str = ""
    outcomes: dict[str, int] = {}


def is_reference(webhook: str) -> bool:
    """Whether it says where the URL is found, instead of being the URL."""
    return webhook.startswith(_REFERENCES)


def shown_webhook(webhook: str) -> str:
    """A reference, or the scheme and host of a URL: whoever knows the rest can post there."""
    if is_reference(webhook):
        return webhook
    try:
        parts = urlsplit(webhook)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "a URL that cannot be read"
    return f"{parts.scheme}://{parts.hostname or '?'}{port}/…"


def message(given: NotificationInput, told: Told, link: str) -> dict[str, Any]:
    """The body that is posted; `text` is what chats show."""
    command = next_command(given.state, given.label)
    change = f"{told.previous_release or 'nothing'} → {told.release}"
    lines = [f"{given.label} {str(given.state).replace('_', ' ')}: {change}"]
    detail = " ".join(given.detail.split())
    lines += [detail if len(detail) <= _TEXT else f"{detail[:_TEXT]}…"] if detail else []
    lines += [_counts(told.outcomes)] if told.outcomes else []
    lines += [f"Next: {command}"]
    text = "\n".join(map(_escaped, lines))
    return {
        "text": f"{text}\n{link}" if link else text,
        "deployment": given.label,
        "application": given.label.partition("/")[0],
        "environment": given.label.partition("/")[2].partition("#")[0],
        "release": told.release,
        "previous_release": told.previous_release,
        "state": str(given.state),
        "detail": given.detail,
        "at": given.at,
        "outcomes": told.outcomes,
        "links": {"temporal": link} if link else {},
        "next": command,
    }


def next_command(state: DeploymentState, label: str) -> str:
    """What a person types next."""
    environment = label.partition("#")[0]
    if state is DeploymentState.PAUSED:
        return f"apollo resume {environment}"
    if state is DeploymentState.AWAITING:
        return f"apollo approve {environment}"
    return f"apollo show {label}" if state.ended else f"apollo watch {environment}"


def _counts(outcomes: Mapping[str, int]) -> str:
    known = [*map(str, Outcome), "pending"]
    return ", ".join(
        f"{outcomes[word]} {word.replace('_', ' ')}" for word in known if outcomes.get(word)
    )


def _escaped(line: str) -> str:
    return "".join(_ESCAPED.get(char, char) for char in line)
