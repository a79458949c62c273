"""Validation, registration and placement: rules without I/O."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from huleedu_dagster.domain.completeness import ClosedBy
from huleedu_dagster.domain.durations import MOST_SECONDS
from huleedu_dagster.domain.outcomes import Code
from huleedu_dagster.domain.placement import Placement, place
from huleedu_dagster.domain.registration import BatchSettings, NewRegistration, Registration
from huleedu_dagster.domain.validation import count_words, validate
from huleedu_dagster.settings import Settings
from tests.support.fakes import START


def registration(**values: object) -> Registration:
    known: dict[str, object] = {
        "batch_id": "a",
        "registered_at": START,
        "correlation_id": "00000000-0000-0000-0000-000000000000",
    }
    return Registration.model_validate({**known, **values})


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (0, Code.EMPTY_CONTENT),
        (1, Code.CONTENT_TOO_SHORT),
        (4, Code.CONTENT_TOO_SHORT),
        (5, None),
        (10, None),
        (11, Code.CONTENT_TOO_LONG),
    ],
)
def test_a_text_is_accepted_between_its_limits_both_included(words: int, code: Code | None) -> None:
    found = validate("word " * words, min_words=5, max_words=10)
    assert (found.words, found.code) == (words, code)


@pytest.mark.parametrize("text", ["", " \n\t ", "— … !", "\u00a0\u2003"])
def test_a_text_without_a_word_is_empty_even_when_nothing_is_asked_for(text: str) -> None:
    assert validate(text, min_words=0, max_words=10).code is Code.EMPTY_CONTENT


@given(st.lists(st.text(alphabet="aå9", min_size=1), max_size=9), st.sampled_from([" ", "\n\n"]))
def test_words_are_what_white_space_parts(words: list[str], space: str) -> None:
    assert count_words(space.join(words)) == len(words)


def test_a_dash_alone_is_no_word_and_a_compound_is_one() -> None:
    assert count_words("well-known – 3,5 don't") == 3


@pytest.mark.parametrize("expected", [0, -1, 100])
def test_a_batch_expects_1_to_99_essays(expected: int) -> None:
    with pytest.raises(ValidationError):
        registration(expected_essay_count=expected)


def test_who_expects_too_many_is_told_that_a_larger_exam_is_several_batches() -> None:
    with pytest.raises(ValidationError, match=r"(?i)several batches"):
        registration(expected_essay_count=100)


def test_a_batch_of_99_is_the_largest_and_without_a_count_there_is_room_for_99() -> None:
    assert registration(expected_essay_count=99).slots == 99
    assert registration(expected_essay_count=1).slots == 1
    assert registration().slots == 99


def test_a_deadline_without_a_time_zone_is_refused_at_registration() -> None:
    with pytest.raises(ValidationError):
        registration(deadline=datetime(2026, 11, 22, 9, 0))  # noqa: DTZ001


@pytest.mark.parametrize("timeout", [0, -5])
def test_a_timeout_is_longer_than_nothing(timeout: int) -> None:
    with pytest.raises(ValidationError):
        registration(timeout_seconds=timeout)


@pytest.mark.parametrize("timeout", [float("inf"), float("nan"), 1e18, MOST_SECONDS + 1, 0])
def test_a_batch_is_not_registered_with_a_timeout_of_more_than_a_year(timeout: float) -> None:
    longest = registration(timeout_seconds=MOST_SECONDS).model_dump()
    assert NewRegistration.model_validate(longest).timeout_seconds == MOST_SECONDS
    with pytest.raises(ValidationError):
        NewRegistration.model_validate({**longest, "timeout_seconds": timeout})


@pytest.mark.parametrize(
    "values",
    [
        {"language": "English"},
        {"language": "EN"},
        {"language": "e"},
        {"min_words": -1},
        {"max_words": 0},
        {"min_words": 6, "max_words": 5},
        {"colour": "red"},
    ],
)
def test_settings_that_make_no_sense_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        BatchSettings.model_validate(values)


def test_a_word_list_has_one_form() -> None:
    one = BatchSettings(word_list=("Sven’s ", "kafka", "KAFKA", "", "Ångström"))
    assert one.word_list == ("kafka", "sven's", "ångström")
    other = BatchSettings(word_list=("ångström", "sven's", "kafka"))
    assert one.data_version == other.data_version


@pytest.mark.parametrize(
    "change", [{"language": "sv"}, {"min_words": 6}, {"max_words": 7}, {"word_list": ("x",)}]
)
def test_every_setting_changes_the_data_version_of_the_registration(
    change: dict[str, object],
) -> None:
    assert BatchSettings.model_validate(change).data_version != BatchSettings().data_version


def test_an_installation_may_not_allow_more_than_99_slots(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HULEEDU_MAX_SLOTS", "99")
    assert Settings().max_slots == 99
    monkeypatch.setenv("HULEEDU_MAX_SLOTS", "100")
    with pytest.raises(ValidationError):
        Settings()


DEADLINE = START + timedelta(hours=1)
BEFORE, AFTER = START, DEADLINE
OTHERS = [ClosedBy.REQUEST, ClosedBy.DEADLINE, ClosedBy.TIMEOUT, ClosedBy.QUIET]


def placed(
    *, taken: int, holds_slot: bool, closed_by: ClosedBy | None = None, now: datetime = BEFORE
) -> Placement:
    batch = registration(expected_essay_count=3, deadline=DEADLINE)
    return place(
        batch, closed_by=closed_by, taken=taken, max_slots=99, holds_slot=holds_slot, now=now
    )


def test_an_open_batch_takes_new_essays_and_new_versions() -> None:
    assert placed(taken=2, holds_slot=False) is Placement.NEW_ESSAY
    assert placed(taken=2, holds_slot=True) is Placement.NEW_VERSION


def test_a_full_batch_takes_new_versions_and_keeps_the_rest_as_excess() -> None:
    for closed_by in (None, ClosedBy.FULL):
        assert placed(taken=3, holds_slot=False, closed_by=closed_by) is Placement.EXCESS
        assert placed(taken=3, holds_slot=True, closed_by=closed_by) is Placement.NEW_VERSION


def test_from_the_deadline_on_everything_is_late_closed_already_or_not() -> None:
    for closed_by in (None, *OTHERS):
        assert placed(taken=2, holds_slot=False, closed_by=closed_by, now=AFTER) is Placement.LATE
        assert placed(taken=2, holds_slot=True, closed_by=closed_by, now=AFTER) is Placement.LATE
    assert placed(taken=3, holds_slot=True, closed_by=ClosedBy.FULL, now=AFTER) is Placement.LATE


@pytest.mark.parametrize("closed_by", OTHERS)
def test_a_batch_that_was_closed_early_takes_nothing(closed_by: ClosedBy) -> None:
    assert placed(taken=2, holds_slot=False, closed_by=closed_by) is Placement.LATE
    assert placed(taken=2, holds_slot=True, closed_by=closed_by) is Placement.LATE


def test_the_installation_limits_a_batch_that_has_no_count() -> None:
    found = place(registration(), closed_by=None, taken=5, max_slots=5, holds_slot=False, now=START)
    assert found is Placement.EXCESS
