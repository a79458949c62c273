"""No test changes the process for those after it."""

import os

import pytest


@pytest.mark.parametrize("turn", ["first", "second"])
def test_a_variable_that_a_test_sets_or_deletes_is_as_before_for_the_next(turn: str) -> None:
    assert "HULEEDU_LEFT_BEHIND" not in os.environ
    assert os.environ["HULEEDU_SPELLING_CACHE"] != turn
    os.environ["HULEEDU_LEFT_BEHIND"] = turn
    del os.environ["HULEEDU_SPELLING_CACHE"]
