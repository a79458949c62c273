"""One batch of a made-up week: what happens to it, and a small model of the rules it lives by."""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Protocol

from huleedu_dagster.domain.actions import SYSTEM, Action, Actor
from huleedu_dagster.domain.outcomes import Code
from huleedu_dagster.domain.registration import BatchSettings
from huleedu_dagster.extraction.direct import DirectExtractor
from huleedu_dagster.extraction.port import Extraction
from huleedu_dagster.pipeline import lifecycle
from huleedu_dagster.pipeline.essays import EssayPipeline
from huleedu_dagster.pipeline.reprocessing import reprocess
from tests.support.fakes import CheapSpeller, ScriptedExtractor
from tests.support.week_tally import File, Tally
from tests.support.workshop import Workshop

FAULTS = (
    "reject",
    "twin",
    "again",
    "excess",
    "version",
    "late",
    "reopen",
    "missing",
    "waive_missing",
    "dead_replayed",
    "dead_waived",
    "dead_superseded",
    "dead_recovered",
    "reprocess",
    "transient",
    "release_again",
)
"""What may happen to a batch beside that all goes well."""

_OPERATOR = Actor.operator("operator-one")
_BAD: tuple[tuple[bytes, Code], ...] = (
    (b"", Code.EMPTY_CONTENT),
    (b"too short", Code.CONTENT_TOO_SHORT),
    (b"%PDF-1.4 nothing else", Code.CORRUPTED_FILE),
    (b"\x89PNG\r\n\x1a\n\x00\x00", Code.UNSUPPORTED_FORMAT),
)
_WORDS = ("harbour", "ship", "winter", "lantern", "captain", "island")
_HOUR = 3_600.0

Life = Iterator[float]
"""Does something whenever it is asked, and says how many seconds it waits then."""


class Surroundings(Protocol):
    """What a batch needs of its week."""

    shop: Workshop
    random: random.Random
    teacher: Actor

    @property
    def today(self) -> Tally:
        """The tally of the day that it is."""
        ...

    def begin(self, moment: datetime, life: Life) -> None:
        """Let a life go on at a moment."""
        ...


class Class:
    """One batch on its way through the week."""

    def __init__(self, week: Surroundings, batch_id: str, faults: frozenset[str]) -> None:
        self.week = week
        self.shop = week.shop
        self.random = week.random
        self.batch_id = batch_id
        self.faults = faults
        self.files: dict[str, File] = {}
        self.history: list[tuple[str, bytes]] = []
        self.expected = self.random.randint(3, 6)
        self.closed = False
        self.deadline: datetime | None = None
        self.full = False
        self.revision = 0
        self.spellings = 0
        self.last_file_at: datetime | None = None
        self.actor = self.random.choice((week.teacher, _OPERATOR, SYSTEM))

    @property
    def now(self) -> datetime:
        return self.shop.clock.now

    def count(self, name: str, amount: int = 1) -> None:
        self.week.today.counts[name] += amount

    def act(self, actor: Actor, action: Action, amount: int = 1) -> None:
        self.week.today.acts[actor.actor_id, action.value] += amount

    def pause(self, hours: float = 3) -> float:
        """A wait of up to some hours."""
        return self.random.uniform(60, hours * _HOUR)

    def live(self) -> Life:
        """Everything that happens to it, with the waits between."""
        timeout = 30 * _HOUR if self.faults & {"missing", "waive_missing", "reopen"} else None
        self.begin(timeout)
        yield self.pause(8)
        missing = 1 if timeout else 0
        yield from self.hand_in_all(self.expected - missing)
        yield from self.before_work()
        yield from self.work()
        if self.deadline is not None:
            yield from self.go_on_without()
        yield from self.late_files()
        yield from self.finish()

    def begin(self, timeout: float | None) -> None:
        lifecycle.register(
            self.shop.ledger.acting(self.actor),
            self.batch_id,
            settings=BatchSettings(),
            expected_essay_count=self.expected,
            timeout_seconds=timeout,
        )
        self.registered_at = self.now
        if timeout is not None:
            self.deadline = self.now + timedelta(seconds=timeout)
            self.week.begin(self.deadline + timedelta(seconds=1), self.time_out())
        self.count("registered")
        self.act(self.actor, Action.REGISTERED)

    def hand_in_all(self, number: int) -> Life:
        """The class hands in, in two requests."""
        files = [(f"student-{it}/essay.txt", self.essay()) for it in range(number)]
        if "twin" in self.faults:
            files[-1] = (files[-1][0], files[0][1])
        if "reject" in self.faults:
            data, code = self.random.choice(_BAD)
            files[1] = (files[1][0], File(data, self.now, code))
        half = self.random.randint(1, number - 1)
        self.hand_in(dict(files[:half]))
        yield self.pause()
        self.hand_in(dict(files[half:]))
        if "excess" in self.faults and self.full:
            yield self.pause(1)
            self.hand_in({"one-too-many.txt": self.essay()})

    def before_work(self) -> Life:
        """Files that come again before anybody looked at them."""
        if "again" in self.faults:
            yield self.pause(1)
            paths = list(self.files)[:2]
            self.hand_in({it: self.files[it] for it in paths})
        if "version" in self.faults:
            yield self.pause(1)
            self.hand_in({"student-0/essay.txt": self.essay()})

    def work(self) -> Life:
        """Outcomes, dead letters and what becomes of them."""
        yield self.pause()
        if "transient" in self.faults:
            yield from self.run_out_of_time("student-1/essay.txt")
        dead = next((it for it in FAULTS if it in self.faults and it[:5] == "dead_"), None)
        if dead and self.files["student-0/essay.txt"].waits:
            yield from self.die("student-0/essay.txt", dead)
        for path, file in list(self.files.items()):
            if file.waits:
                self.process(path)
                yield self.pause(0.5)

    def die(self, path: str, how: str) -> Life:
        """An essay fails until it is a dead letter; then what the fault says."""
        file = self.files[path]
        self.shop.blobs.fail("get", f"raw_upload_blob/{self.batch_id}", 3)
        for number in range(3):
            essay = self.shop.essay(str(file.slot), batch_id=self.batch_id)
            try:
                self.shop.process(str(file.slot), batch_id=self.batch_id)
            except OSError as error:
                run = f"{self.batch_id}-{number}"
                self.shop.pipeline.record_failure(essay, run_id=run, error=error)
            else:
                raise AssertionError("the store was to fail")
            yield self.pause(0.2)
        self.count("dead_letters")
        file.waits, file.is_dead = False, True
        yield self.pause(26)
        if how == "dead_replayed":
            with self.shop.ledger.read() as tx:
                (letter,) = tx.failures.open_letters(self.batch_id)
            lifecycle.replay(self.shop.ledger.acting(_OPERATOR), letter.dead_letter_id)
            self.count("dead_letters_replayed")
            self.act(_OPERATOR, Action.REPLAYED)
            file.waits, file.is_dead = True, False
        elif how == "dead_waived":
            self.waive(str(file.slot), dead=True)
        elif how == "dead_superseded" and not self.is_over:
            self.hand_in({path: self.essay()})
        elif how == "dead_recovered":
            self.process(path)

    def run_out_of_time(self, path: str) -> Life:
        """An essay is rejected because time ran out, and accepted when it is tried again."""
        file = self.files[path]
        if not file.waits or file.code is not None:
            return
        slow = Extraction(code=Code.TIMEOUT, transient=True)
        reader = ScriptedExtractor(slow, version=DirectExtractor().version)
        code, file.code = file.code, Code.TIMEOUT
        self.process(path, self.shop.pipeline_with(extractor=reader))
        file.code = code
        yield self.pause(30)
        if self.files[path] is file:
            self.ask_again({path})
            self.process(path)

    def time_out(self) -> Life:
        """The time is over with essays missing."""
        lifecycle.close_what_is_due(self.shop.ledger, quiet_seconds=30)
        self.closed = True
        self.count("timed_out")
        self.act(SYSTEM, Action.CLOSED)
        yield from ()

    def go_on_without(self) -> Life:
        """Maybe somebody waives what is missing."""
        assert self.deadline is not None
        yield max((self.deadline - self.now).total_seconds(), 0) + self.pause()
        if "waive_missing" in self.faults - {"reopen"}:
            self.waive(f"e{self.expected:03d}", dead=False)

    def late_files(self) -> Life:
        """A file comes after the batch was closed; now and then the batch is opened for it."""
        if not self.faults & {"late", "reopen"}:
            return
        if not self.closed and not self.full:
            lifecycle.close(self.shop.ledger.acting(_OPERATOR), self.batch_id)
            self.act(_OPERATOR, Action.CLOSED)
            self.closed = True
        yield self.pause()
        self.hand_in({"late.txt": self.essay()})
        if "reopen" in self.faults and self.closed:
            yield self.pause(20)
            self.shop.intake.by(self.shop.ledger.acting(_OPERATOR)).reopen(self.batch_id)
            self.act(_OPERATOR, Action.REOPENED)
            self.closed, self.deadline = False, None
            self.fill(self.expected)
            late = self.files["late.txt"]
            late.slot, late.waits = f"e{self.expected:03d}", True
            self.process("late.txt")

    def finish(self) -> Life:
        """The closing work, if the batch is ready, and what comes after a release."""
        yield self.pause()
        self.release()
        if "release_again" in self.faults and not self.is_over and self.revision:
            yield self.pause(20)
            self.hand_in({"student-0/essay.txt": self.essay()})
            yield self.pause()
            self.process("student-0/essay.txt")
            yield self.pause(1)
            self.release()
        if "reprocess" in self.faults:
            yield self.pause(30)
            self.spellings += 1
            paths = {path for path, it in self.files.items() if it.has_outcome}
            self.ask_again(paths)
            version = f"cheap-{self.spellings}"
            pipeline = self.shop.pipeline_with(speller=CheapSpeller(version=version))
            for path in sorted(paths):
                self.process(path, pipeline)

    @property
    def is_over(self) -> bool:
        """Whether what comes now is late."""
        return self.closed or (self.deadline is not None and self.now >= self.deadline)

    def essay(self) -> File:
        """A good essay with some misspellings; no two are alike."""
        words = self.random.choices(_WORDS, k=self.random.randint(20, 60))
        wrong = self.random.randint(0, 4)
        words[:wrong] = ["teh"] * wrong
        words.append("".join(self.random.choices("abcdefgh", k=12)))
        return File(" ".join(words).encode(), self.now, None, len(words), wrong)

    def hand_in(self, files: dict[str, File]) -> None:
        """Hand in files in one request, and tally what must become of each."""
        ledger = self.shop.ledger.acting(self.actor)
        with self.shop.intake.by(ledger).submission(self.batch_id) as submission:
            for path, file in files.items():
                submission.receive(path, file.data)
        for path, file in files.items():
            known = self.files.get(path)
            if known is not None and known.data == file.data:
                self.count("suppressed")
                self.act(self.actor, Action.UNCHANGED)
                continue
            self.keep(path, file, known)

    def keep(self, path: str, file: File, known: File | None) -> None:
        self.count("received")
        self.count("received_bytes", len(file.data))
        self.act(self.actor, Action.RECEIVED)
        self.week.today.hours[self.now.hour, "received"] += 1
        if any(path != other and data == file.data for other, data in self.history):
            self.count("duplicates")
        self.history.append((path, file.data))
        self.last_file_at = self.now
        kept = File(file.data, self.now, file.code, file.words, file.wrong)
        taken = sum(it.slot is not None for it in self.files.values())
        if known is not None and known.slot is not None:
            self.count("late" if self.is_over else "new_versions")
            if self.is_over:
                return
            self.count("dead_letters_superseded", int(known.is_dead))
            kept.slot, kept.waits = known.slot, True
        elif taken >= self.expected:
            self.count("excess")
        elif self.is_over:
            self.count("late")
        else:
            self.count("new_essays")
            kept.slot, kept.waits = f"e{taken + 1:03d}", True
            self.fill(taken + 1)
        self.files[path] = kept

    def fill(self, taken: int) -> None:
        """A file took a slot; the last one closes the batch, and nobody did it."""
        self.full = taken == self.expected
        if self.full:
            self.act(SYSTEM, Action.CLOSED)

    def process(self, path: str, pipeline: EssayPipeline | None = None) -> None:
        """Take an essay through its stages, and tally its outcome."""
        file = self.files[path]
        self.shop.process(str(file.slot), batch_id=self.batch_id, pipeline=pipeline)
        self.count("dead_letters_recovered", int(file.is_dead))
        file.waits = file.is_dead = False
        if file.has_outcome:
            self.count("reprocessed")
            return
        file.has_outcome = True
        self.week.today.waited.append((self.now - file.received_at).total_seconds())
        if file.code is None:
            self.count("accepted")
            self.count("words", file.words)
            self.count("misspellings", file.wrong)
        else:
            self.count("rejected")
            self.count(f"rejected_{file.code}")
        self.week.today.hours[self.now.hour, "rejected" if file.code else "accepted"] += 1

    def ask_again(self, paths: set[str]) -> None:
        slots = [str(self.files[it].slot) for it in paths]
        reprocess(self.shop.ledger.acting(_OPERATOR), self.batch_id, slots)
        self.count("reprocessing_asked", len(slots))
        self.act(_OPERATOR, Action.REPROCESSED, len(slots))

    def waive(self, slot: str, *, dead: bool) -> None:
        lifecycle.waive(self.shop.ledger.acting(_OPERATOR), self.batch_id, slot, "ill")
        self.count("waived")
        self.count("dead_letters_waived", int(dead))
        self.act(_OPERATOR, Action.WAIVED)

    def release(self) -> None:
        """Do the closing work of a ready batch."""
        if not self.shop.facts(self.batch_id).completeness.ready:
            return
        released = self.shop.release(self.batch_id)
        assert released.revision in (self.revision, self.revision + 1)
        if released.revision == self.revision:
            return
        self.revision += 1
        self.count("released")
        self.act(SYSTEM, Action.RELEASED)
        self.count("completed" if self.revision == 1 else "released_again")
        if self.revision == 1:
            assert self.last_file_at is not None
            today = self.week.today
            today.completion.append((self.now - self.registered_at).total_seconds())
            today.since_last_file.append((self.now - self.last_file_at).total_seconds())
