"""What a person reads in Temporal who has sent something wrong."""

import json
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError
from temporalio.api.failure.v1 import Failure

from apollo.codec import data_converter
from apollo.domain.deployment import Control, DeploymentRequest, HostsControl, PaceControl
from apollo.domain.promotion import PromotionRequest, StageControl
from apollo.failures import explain


def said(kind: type[BaseModel], text: str) -> str:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_json(text)
    return explain(caught.value)


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        (Control, '"nonsense"', 'the input: expected a JSON object, found "nonsense"'),
        (Control, '{"by":', 'the input: expected JSON, found "{\\"by\\":"'),
        (StageControl, '{"by": 7}', "by: expected text, found 7"),
        (HostsControl, '{"hosts": ["w1"]}', 'hosts: expected text, found ["w1"]'),
        (PaceControl, "20", "the input: expected a JSON object, found 20"),
        (PaceControl, '{"max_unavailable": true}', "max_unavailable: expected text, found true"),
        (DeploymentRequest, "null", "the input: expected a JSON object, found null"),
        (
            DeploymentRequest,
            '{"if_busy": "perhaps", "redeploy": "x"}',
            'redeploy: expected true or false, found "x"; '
            "if_busy: expected 'refuse', 'wait' or 'supersede', found \"perhaps\"",
        ),
        (DeploymentRequest, '{"limt": "w1"}', "limt is no field: did you mean limit?"),
        (PromotionRequest, '{"form": "dev"}', "form is no field: did you mean from?"),
    ],
)
def test_each_mistake_is_told_by_its_field(kind: type[BaseModel], text: str, words: str) -> None:
    found, example = said(kind, text).split("; an example: ")
    assert found == words
    TypeAdapter(kind).validate_python(json.loads(example))


def test_what_is_found_is_not_told_at_length() -> None:
    assert len(said(Control, json.dumps({"by": [["x" * 9999]]}))) < 200


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (DeploymentRequest, {"application": "shop", "environment": "prod", "ticket": "OPS-7"}),
        (PromotionRequest, {"application": "shop", "from": "dev"}),
        (PromotionRequest, {"application": "shop", "from_": "dev"}),
    ],
)
def test_fields_of_other_versions_are_no_slips(
    kind: type[BaseModel], given: dict[str, Any]
) -> None:
    assert isinstance(TypeAdapter(kind).validate_json(json.dumps(given)), kind)


def test_only_what_people_send_is_explained() -> None:
    class Inner(BaseModel):
        size: int

    converter = data_converter().failure_converter
    failure = Failure()
    with pytest.raises(ValidationError) as caught:
        Inner.model_validate({"size": "x"})
    converter.to_failure(caught.value, data_converter().payload_converter, failure)
    assert failure.application_failure_info.type == "ValidationError"
    assert "Inner" in failure.message
    assert failure.stack_trace
