"""Words from people's fingers: how signals and updates of all workflows read them."""

from typing import TypeVar

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue

with workflow.unsafe.imports_passed_through():
    from pydantic import ValidationError

    from apollo.domain.deployment import Control

Word = TypeVar("Word", bound=Control)
NO_WORD = RawValue(Payload())
"""What a signal without input is taken for."""
EXAMPLE = 'JSON (may be left out): {"by": "ada", "reason": "latency is up"}'
APPROVAL = 'JSON (may be left out): {"by": "ada", "reason": "the canary is well"}'
_SHOWN = 300
"""Characters of a reason that states and details show; the audit has all of it."""


def read_word(raw: RawValue, kind: type[Word]) -> Word:
    """A signal's input as a word; what is none is kept as its reason."""
    if not isinstance(raw, RawValue):  # one of several inputs
        return kind(reason=repr(raw)[:200])
    text = raw.payload.data.decode(errors="replace")
    try:
        return kind.model_validate_json(text) if text else kind()
    except ValidationError:
        return kind(reason=text[:200])


def told(word: Control) -> str:
    """Why and who, as states and details show it."""
    reason, by = word.reason[:_SHOWN], word.by[:_SHOWN]
    return f"{reason} ({by})" if reason and by else reason or by


def not_heard(action: str, refusal: str) -> str:
    """What is shown of a signal that made no sense: nobody answers those who send one."""
    return f"The signal {action} was ignored: {refusal}"


def update_id() -> str:
    """The id of the update that is being handled."""
    info = workflow.current_update_info()
    return info.id if info else str(workflow.uuid4())
