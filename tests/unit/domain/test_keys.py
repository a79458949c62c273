"""Hashes that make work idempotent."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huleedu_dagster.domain.keys import (
    canonical_json,
    hash_of,
    materialization_key,
    sha256_hex,
    wave_run_key,
)

SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=4), VALUES, max_size=4)


def reordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: reordered(value[name]) for name in reversed(value)}
    return [reordered(it) for it in value] if isinstance(value, list) else value


@given(OBJECTS)
def test_canonical_json_does_not_depend_on_the_order_of_keys(value: dict[str, Any]) -> None:
    assert canonical_json(reordered(value)) == canonical_json(value)


@given(VALUES)
def test_canonical_json_says_what_the_value_says(value: Any) -> None:
    assert json.loads(canonical_json(value)) == value


def test_canonical_json_has_no_spaces_and_no_escapes() -> None:
    assert canonical_json({"b": [1, 2], "a": "å"}) == '{"a":"å","b":[1,2]}'


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [float("-inf")]])
def test_canonical_json_refuses_numbers_that_json_has_not(value: Any) -> None:
    with pytest.raises(ValueError):
        canonical_json(value)


def test_canonical_json_refuses_what_json_has_no_form_for() -> None:
    with pytest.raises(TypeError):
        canonical_json({"a": b"bytes"})


@given(st.binary())
def test_sha256_is_that_of_the_bytes(data: bytes) -> None:
    assert sha256_hex(data) == hashlib.sha256(data).hexdigest()


def key(**changes: Any) -> str:
    given_values: dict[str, Any] = {
        "asset": "spellcheck_result",
        "code_version": "1",
        "configuration": {"language": "en", "word_list": ["a"]},
        "inputs": {"text": "abc", "raw": "def"},
    }
    values = {**given_values, **changes}
    return materialization_key(values.pop("asset"), **values)


@pytest.mark.parametrize(
    "change",
    [
        {"asset": "validation_result"},
        {"code_version": "2"},
        {"configuration": {"language": "sv", "word_list": ["a"]}},
        {"configuration": {"language": "en", "word_list": []}},
        {"inputs": {"text": "abd", "raw": "def"}},
        {"inputs": {"text": "def", "raw": "abc"}},
        {"inputs": {"text": "abc"}},
    ],
)
def test_every_part_of_a_materialization_key_matters(change: dict[str, Any]) -> None:
    assert key(**change) != key()


def test_a_materialization_key_does_not_depend_on_the_order_of_its_parts() -> None:
    assert key(inputs={"raw": "def", "text": "abc"}) == key()
    assert key(configuration={"word_list": ["a"], "language": "en"}) == key()


def test_a_materialization_key_is_a_sha256() -> None:
    assert len(key()) == 64
    assert set(key()) <= set("0123456789abcdef")


def test_a_part_cannot_be_mistaken_for_another() -> None:
    one = materialization_key("a", code_version="bc", configuration={}, inputs={})
    other = materialization_key("ab", code_version="c", configuration={}, inputs={})
    assert one != other


MEMBERS = [("e001", "aa", 0, 0), ("e002", "bb", 0, 0)]


def test_a_run_key_is_stable_for_the_same_work_in_any_order() -> None:
    assert wave_run_key("a", MEMBERS, "v") == wave_run_key("a", reversed(MEMBERS), "v")


@pytest.mark.parametrize(
    "members",
    [
        MEMBERS[:1],
        [("e001", "aa", 0, 1), MEMBERS[1]],
        [("e001", "aa", 1, 0), MEMBERS[1]],
        [("e001", "ab", 0, 0), MEMBERS[1]],
        [("e003", "aa", 0, 0), MEMBERS[1]],
    ],
)
def test_a_run_key_changes_with_slot_bytes_generation_and_attempt(
    members: list[tuple[str, str, int, int]],
) -> None:
    assert wave_run_key("a", members, "v") != wave_run_key("a", MEMBERS, "v")


def test_a_run_key_changes_with_batch_and_pipeline_version() -> None:
    keys = {wave_run_key("a", MEMBERS, "v"), wave_run_key("b", MEMBERS, "v")}
    assert len(keys | {wave_run_key("a", MEMBERS, "w")}) == 3


@given(OBJECTS, OBJECTS)
def test_values_have_the_same_hash_only_when_they_are_the_same(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert (hash_of(one) == hash_of(other)) == (
        json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    )
