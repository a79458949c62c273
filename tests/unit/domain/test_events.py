"""Typed events: their names, their identity and the envelope."""

import hashlib
import json
import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from huleedu_dagster.domain.events import (
    EVENT_MODELS,
    BatchReadinessTimeout,
    EssayContentProvisionedV1,
    EssayValidationFailedV1,
    EventData,
    ExcessContentProvisionedV1,
    SpellcheckInitiate,
    deterministic_event_id,
    envelop,
    event_uuid,
    schema_uri,
)
from huleedu_dagster.domain.outcomes import EXPLANATIONS, Code, Warn, explain
from tests.support.fakes import START

DATA: dict[str, Any] = {"batch_id": "a", "nested": {"x": 1, "y": ["å", None]}, "n": 2}
EXCESS = ExcessContentProvisionedV1(
    batch_id="a", upload_id="u", raw_file_storage_id="r", reason=Code.BATCH_FULL
)


def message(data: Any, **envelope: Any) -> bytes:
    return json.dumps({"event_id": "1", "data": data, **envelope}).encode()


def test_the_id_of_an_event_is_the_sha256_of_its_sorted_data() -> None:
    text = json.dumps(DATA, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert deterministic_event_id(DATA) == hashlib.sha256(text.encode()).hexdigest()


@given(st.permutations(list(DATA)))
def test_the_order_of_keys_does_not_change_the_id(names: list[str]) -> None:
    shuffled = {name: DATA[name] for name in names}
    assert deterministic_event_id(shuffled) == deterministic_event_id(DATA)
    assert deterministic_event_id(message(shuffled)) == deterministic_event_id(DATA)


def test_the_envelope_does_not_change_the_id() -> None:
    one = message(DATA, event_timestamp="1", correlation_id="x")
    other = json.dumps({"data": DATA, "event_id": "9", "source_service": "s"}, indent=3).encode()
    assert deterministic_event_id(one) == deterministic_event_id(other)
    assert deterministic_event_id(one) == deterministic_event_id(DATA)


def test_other_data_is_another_event() -> None:
    assert deterministic_event_id({**DATA, "n": 3}) != deterministic_event_id(DATA)


@pytest.mark.parametrize(
    "received",
    [
        b"",
        b"not json",
        b"\xff\xfe\x00",
        b'{"no_data": 1}',
        b"[1, 2]",
        b'"data"',
        b"7",
        b'{"data": NaN}',
        b'{"data": "\\ud800"}',
        b'\xef\xbb\xbf{"data": {}}',
        b'{"data": ' + b"[" * 100_000,
    ],
)
def test_what_is_malformed_or_holds_no_data_is_hashed_as_it_is(received: bytes) -> None:
    assert deterministic_event_id(received) == hashlib.sha256(received).hexdigest()


def test_the_uuid_of_an_event_is_a_stable_version_5_of_type_and_data() -> None:
    found = event_uuid("huleedu.a.b.c.v1", "00")
    assert found.version == 5
    assert found == event_uuid("huleedu.a.b.c.v1", "00")
    assert found != event_uuid("huleedu.a.b.c.v2", "00")
    assert found != event_uuid("huleedu.a.b.c.v1", "01")
    assert str(found) == "fb2a637b-3f2f-56cf-ab4b-a15c439f65d8"


def test_the_same_fact_has_the_same_event_id_whoever_says_it_and_when() -> None:
    one = envelop(EXCESS, correlation_id="x", timestamp=START)
    other = envelop(EXCESS, correlation_id="y", timestamp=START + timedelta(days=1))
    assert one.event_id == other.event_id
    data_hash = deterministic_event_id(EXCESS.model_dump(mode="json"))
    assert one.event_id == event_uuid(EXCESS.event_type, data_hash)


def test_an_envelope_has_the_fields_of_the_platform() -> None:
    body = envelop(EXCESS, correlation_id="x", timestamp=START).model_dump(mode="json")
    assert set(body) == {
        "event_id",
        "event_type",
        "event_timestamp",
        "source_service",
        "schema_version",
        "correlation_id",
        "data_schema_uri",
        "data",
    }
    assert uuid.UUID(body["event_id"]).version == 5
    assert body["data_schema_uri"] == schema_uri(ExcessContentProvisionedV1)
    assert deterministic_event_id(json.dumps(body).encode()) == deterministic_event_id(body["data"])


@pytest.mark.parametrize("model", EVENT_MODELS)
def test_every_event_type_follows_the_pattern_of_the_platform(model: type[EventData]) -> None:
    assert re.fullmatch(r"huleedu\.[a-z_]+\.[a-z_]+\.[a-z_]+\.v[1-9][0-9]*", model.event_type)


@pytest.mark.parametrize("model", EVENT_MODELS)
def test_every_event_is_immutable_and_refuses_unknown_fields(model: type[EventData]) -> None:
    assert model.model_config["frozen"] is True
    assert model.model_json_schema()["additionalProperties"] is False


def test_all_events_of_the_platform_have_a_model_and_a_type_of_their_own() -> None:
    assert {model.__name__ for model in EVENT_MODELS} == {
        "EssayContentProvisionedV1",
        "EssayValidationFailedV1",
        "EssayUploadFinishedV1",
        "ExcessContentProvisionedV1",
        "BatchEssaysReady",
        "BatchReadinessTimeout",
        "SpellcheckInitiate",
        "SpellCheckCompletedV1",
    }
    assert len({model.event_type for model in EVENT_MODELS}) == len(EVENT_MODELS)


@pytest.mark.parametrize(
    "model", [EssayContentProvisionedV1, EssayValidationFailedV1, SpellcheckInitiate]
)
def test_every_event_of_an_essay_names_its_raw_file(model: type[EventData]) -> None:
    assert "raw_file_storage_id" in model.model_json_schema()["required"]


def test_excess_content_has_no_reason_but_full_and_late() -> None:
    with pytest.raises(ValidationError):
        ExcessContentProvisionedV1.model_validate(
            {**EXCESS.model_dump(), "reason": Code.EMPTY_CONTENT}
        )


def test_a_readiness_timeout_misses_something() -> None:
    with pytest.raises(ValidationError):
        BatchReadinessTimeout(
            batch_id="a",
            expected_count=1,
            received_count=1,
            missing_count=0,
            missing_essay_ids=(),
            closed_by="timeout",
            closed_at=START,
        )


@pytest.mark.parametrize("code", list(Code))
def test_every_code_has_a_sentence_and_a_next_step(code: Code) -> None:
    found = explain(code)
    for words in (found.sentence, found.next_step):
        assert words[0].isupper()
        assert words.endswith(".")
        assert code.value not in words
    assert found.text == f"{found.sentence} {found.next_step}"
    assert len(EXPLANATIONS) == len(Code)


def test_the_codes_of_the_platform_are_there() -> None:
    assert {
        "UNSUPPORTED_FORMAT",
        "CORRUPTED_FILE",
        "TIMEOUT",
        "EMPTY_CONTENT",
        "CONTENT_TOO_SHORT",
        "CONTENT_TOO_LONG",
    } <= {code.value for code in Code}
    assert all(warn.value == warn.name for warn in Warn)
