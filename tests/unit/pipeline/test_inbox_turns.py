"""Which batches a sweep looks at."""

from huleedu_dagster.pipeline.inbox_turns import Allowance, turn

NAMES = ["a", "b", "c", "d", "e"]


def test_without_a_bound_all_batches_are_looked_at_by_name() -> None:
    assert turn(reversed_names(), (), None, "") == (NAMES, "")
    assert turn(NAMES, NAMES, None, "") == (NAMES, "e")
    assert turn([], (), 2, "x") == ([], "x")


def reversed_names() -> list[str]:
    return list(reversed(NAMES))


def test_what_is_not_closed_is_looked_at_every_time_and_the_closed_ones_in_turn() -> None:
    closed = {"a", "c", "d"}
    seen, after = [], ""
    for _ in range(3):
        chosen, after = turn(NAMES, closed, 1, after)
        assert {"b", "e"} < set(chosen)
        seen += sorted(closed & set(chosen))
    assert seen == ["a", "c", "d"]
    chosen, _ = turn(NAMES, closed, 1, after)
    assert closed & set(chosen) == {"a"}


def test_a_turn_begins_where_the_last_one_ended_though_that_batch_is_gone() -> None:
    assert turn(NAMES, NAMES, 2, "bb") == (["c", "d"], "d")
    assert turn(NAMES, NAMES, 2, "e") == (["a", "b"], "b")


def test_a_bound_larger_than_what_is_there_gives_each_one_once() -> None:
    chosen, _ = turn(NAMES, NAMES, 99, "c")
    assert chosen == ["d", "e", "a", "b", "c"]


def test_a_sweep_ends_by_files_or_by_time() -> None:
    assert not Allowance(1, 60).is_spent
    assert Allowance(0, 60).is_spent
    late = Allowance(1, 0)
    assert late.is_late
    assert late.is_spent
    assert not late.is_over
    assert Allowance(1, 0, 0).is_over
