"""What Temporal shows of an input that makes no sense: a sentence that says what was expected."""

import json
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from temporalio.api.failure.v1 import Failure
from temporalio.converter import DefaultFailureConverter, PayloadConverter
from temporalio.exceptions import ApplicationError

from apollo.domain.deployment import Control, DeploymentRequest, HostsControl, PaceControl
from apollo.domain.promotion import PromotionRequest, StageControl

_WORD: dict[str, Any] = {"by": "ada", "reason": "latency is up"}
_EXAMPLES: dict[type[BaseModel], dict[str, Any]] = {
    DeploymentRequest: {"application": "shop", "environment": "prod", "release": "1.4.2"},
    PromotionRequest: {"application": "shop", "release": "1.4.2"},
    Control: _WORD,
    StageControl: _WORD,
    PaceControl: {"max_unavailable": "20%"},
    HostsControl: {"hosts": "web3 | @failed"},
}
"""What people send to workflows, and how it looks when it is right."""
_BY_NAME = {kind.__name__: example for kind, example in _EXAMPLES.items()}
_EXPECTED = {
    "string_type": "text",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "model_type": "a JSON object",
    "model_attributes_type": "a JSON object",
    "json_invalid": "JSON",
}
_SHOWN = 60


class PlainFailures(DefaultFailureConverter):
    """Failures as Temporal writes them, but for those that a person's input has caused.

    A library's report and a worker's stack help nobody who has mistyped something.
    """

    def to_failure(
        self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure
    ) -> None:
        """Write an exception into a failure."""
        if isinstance(exception, ValidationError) and exception.title in _BY_NAME:
            exception = ApplicationError(explain(exception), type="Refused", non_retryable=True)
        if isinstance(exception, ApplicationError) and exception.type == "Refused":
            exception = exception.with_traceback(None)
        super().to_failure(exception, payload_converter, failure)


class HiddenFailures(PlainFailures):
    """The same, with what they say where a codec encrypts it."""

    def __init__(self) -> None:
        super().__init__(encode_common_attributes=True)


def explain(error: ValidationError) -> str:
    """Each mistake in an input by its field, and an input that has none."""
    mistakes = "; ".join(_mistake(each) for each in error.errors(include_url=False))
    return f"{mistakes}; an example: {json.dumps(_BY_NAME[error.title])}"


def _mistake(details: ErrorDetails) -> str:
    if details["type"] == "slip":
        return details["msg"]
    field = ".".join(str(part) for part in details["loc"])
    expected = _EXPECTED.get(details["type"]) or details["msg"].removeprefix("Input should be ")
    return f"{field or 'the input'}: expected {expected}, found {_shown(details['input'])}"


def _shown(value: Any) -> str:
    text = json.dumps(value, default=repr, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
