"""A run holds the essays that it works on, and not those that it has done."""

import subprocess
import sys
import weakref
from typing import Any

import pytest

from huleedu_dagster.domain.completeness import BatchStatus
from huleedu_dagster.pipeline.stages import EssayWork
from tests.dagster.test_acceptance import essays
from tests.support.world import World

COUNT = 12
BYTES = 200_000
FEW, MANY = 10, 60


class Held:
    """Counts how many essays are in memory whenever another one is begun."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._works: list[weakref.ref[EssayWork]] = []
        self.most = 0
        begin = EssayWork.__init__

        def note(work: EssayWork, *args: Any, **more: Any) -> None:
            begin(work, *args, **more)
            self._works.append(weakref.ref(work))
            self.most = max(self.most, sum(it() is not None for it in list(self._works)))

        monkeypatch.setattr(EssayWork, "__init__", note)

    @property
    def begun(self) -> int:
        """How many essays were begun."""
        return len(self._works)


def test_essays_that_are_done_are_let_go_of(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    held = Held(monkeypatch)
    world.register("b1", expected=COUNT)
    world.hand_in("b1", essays(COUNT))
    world.settle()
    assert world.view("b1").status is BatchStatus.READY
    assert held.begun == COUNT
    assert held.most <= world.settings.extraction_workers


def test_essays_that_failed_are_let_go_of(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    held = Held(monkeypatch)
    world.register("b1", expected=COUNT)
    world.hand_in("b1", essays(COUNT))
    # Their bytes are read and their text is there when they fail.
    world.blobs.fail("put", "extracted_plaintext/b1")
    world.tick()
    assert held.begun == COUNT
    assert held.most <= world.settings.extraction_workers


def large_essays(count: int) -> dict[str, bytes]:
    """Essays of long words, so that reading them is quick."""
    words = BYTES // 800
    return {
        f"{number}.txt": " ".join(f"{number:04}{it:04}" + "a" * 791 for it in range(words)).encode()
        for number in range(count)
    }


def hand_in_large(world: World, batch: str, count: int) -> None:
    """A batch that waits for its run."""
    world.register(batch, expected=count)
    world.hand_in(batch, large_essays(count))
    world.instance.add_dynamic_partitions("batch", [batch])
    slots = [f"e{number:03}" for number in range(1, count + 1)]
    world.instance.add_dynamic_partitions("essay", slots)


def grown_by(first: str, last: str, *options: str) -> int:
    """By how much the memory of a process grows while it executes a run, in bytes."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.support.essay_run", first, last]
    done = subprocess.run([*command, *options], check=True, capture_output=True, text=True)
    return int(done.stdout.split()[-1])


@pytest.mark.slow
def test_the_memory_of_a_run_is_the_same_for_few_essays_and_for_many(world: World) -> None:
    hand_in_large(world, "few", FEW)
    hand_in_large(world, "many", MANY)
    hand_in_large(world, "kept", MANY)
    few = grown_by("few|e001", f"few|e{FEW:03}")
    many = grown_by("many|e001", f"many|e{MANY:03}")
    kept = grown_by("kept|e001", f"kept|e{MANY:03}", "keep")
    # Of each essay there are its bytes and its text.
    bytes_alone = (MANY - FEW) * BYTES
    assert many - few < bytes_alone, (few, many)
    assert kept - few > bytes_alone, "one that keeps its essays is found out"
