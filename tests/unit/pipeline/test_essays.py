"""One essay's way through its stages, and what happens on a second pass."""

import pytest

from huleedu_dagster.domain.keys import sha256_hex
from huleedu_dagster.domain.outcomes import Code, EssayOutcome, Stage, StageOutcome
from huleedu_dagster.domain.registration import BatchSettings
from huleedu_dagster.extraction.direct import DirectExtractor
from huleedu_dagster.extraction.port import Extraction
from huleedu_dagster.pipeline import lifecycle
from huleedu_dagster.pipeline.audits import extraction_is_reproducible, raw_blob_is_intact
from huleedu_dagster.pipeline.essays import NotReproducibleError, SupersededError
from huleedu_dagster.spelling.port import SpellcheckReport, SpellingOptions
from huleedu_dagster.storage.port import BlobCorruptedError
from tests.support.fakes import CheapSpeller, CountingExtractor, ScriptedExtractor
from tests.support.ledger import all_rows, event_types, events, row_counts
from tests.support.workshop import ALL, GOOD, Workshop

TEXT = GOOD.decode()
ONE_TEXT = Extraction(text=TEXT, format="txt")
TIMED_OUT = Extraction(code=Code.TIMEOUT, transient=True)


@pytest.fixture
def one(shop: Workshop) -> Workshop:
    """An installation with one good essay in it."""
    shop.register(expected=2)
    shop.receive("Ida/essay.txt")
    return shop


def test_a_good_essay_has_four_accepted_records_with_what_they_were_made_from(
    one: Workshop,
) -> None:
    result = one.process()
    assert list(result.records) == list(Stage)
    assert result.computed == ALL
    assert {it.outcome for it in result.records.values()} == {StageOutcome.ACCEPTED}
    text = result.records[Stage.EXTRACTED_PLAINTEXT]
    assert one.blobs.get(str(text.blob_key), text.data_version).decode() == TEXT
    spelled = result.records[Stage.SPELLCHECK_RESULT]
    assert spelled.details["misspellings"] == 1
    corrected = one.blobs.get(
        spelled.details["corrected_blob"], spelled.details["corrected_sha256"]
    )
    assert corrected.decode() == TEXT.replace("teh", "TEH")
    assert result.records[Stage.RAW_UPLOAD].data_version == sha256_hex(GOOD)
    assert one.facts().outcome(one.essay()) is EssayOutcome.ACCEPTED


def test_a_good_essay_is_three_events_that_name_its_raw_file(one: Workshop) -> None:
    one.process()
    assert event_types(one.ledger) == [
        "huleedu.file.essay_content.provisioned.v1",
        "huleedu.spellcheck.essay.initiate.v1",
        "huleedu.spellcheck.essay.completed.v1",
    ]
    raw = one.essay().upload.blob_key
    assert {it["raw_file_storage_id"] for it in events(one.ledger)} == {raw}
    assert {it["essay_id"] for it in events(one.ledger)} == {"e001"}


@pytest.mark.parametrize(
    ("name", "data", "code", "outcomes"),
    [
        ("a.txt", b"   \n", Code.EMPTY_CONTENT, ["accepted", "rejected", "not_reached"]),
        ("a.txt", b"too short", Code.CONTENT_TOO_SHORT, ["accepted", "accepted", "rejected"]),
        ("a.docx", b"PK\x03\x04broken", Code.CORRUPTED_FILE, ["accepted", "rejected"]),
    ],
)
def test_a_rejected_essay_records_all_four_stages_and_fails_once(
    shop: Workshop, name: str, data: bytes, code: Code, outcomes: list[str]
) -> None:
    shop.register()
    shop.receive(name, data)
    for _ in range(2):
        records = shop.process().records
    assert list(records) == list(Stage)
    found = [it.outcome.value for it in records.values()]
    assert found == [*outcomes, *["not_reached"] * (4 - len(outcomes))]
    (event,) = events(shop.ledger, "essay_validation")
    assert event_types(shop.ledger) == ["huleedu.file.essay_validation.failed.v1"]
    assert event["error_code"] == code
    assert event["raw_file_storage_id"] == shop.essay().upload.blob_key
    assert shop.facts().outcome(shop.essay()) is EssayOutcome.REJECTED
    (line,) = shop.view().essays
    assert (line.code, line.message != "") == (code, True)


def test_a_second_pass_computes_nothing_and_writes_nothing(one: Workshop) -> None:
    reader = CountingExtractor(DirectExtractor())
    pipeline = one.pipeline_with(extractor=reader)
    first = one.process(pipeline=pipeline)
    rows, blobs = all_rows(one.ledger), one.blob_hashes()
    one.clock.advance(60)
    again = one.process(pipeline=pipeline)
    assert again.computed == frozenset()
    assert {it: again.records[it].data_version for it in Stage} == {
        it: first.records[it].data_version for it in Stage
    }
    assert (reader.calls, one.speller.calls) == (1, 1)
    assert all_rows(one.ledger) == rows
    assert one.blob_hashes() == blobs


def test_an_essay_that_waits_though_its_work_is_done_waits_no_longer(one: Workshop) -> None:
    one.process()
    with one.ledger.write() as tx:
        tx.essays.wait_again("class-a", "e001")
    assert one.process().computed == frozenset()
    assert not one.essay().pending


def test_a_part_of_the_stages_reads_what_is_stored_and_runs_what_is_missing(
    one: Workshop,
) -> None:
    first = one.process(stages={Stage.VALIDATION_RESULT})
    assert first.computed == ALL - {Stage.SPELLCHECK_RESULT}
    assert one.essay().pending
    assert one.speller.calls == 0
    rest = one.process(stages={Stage.SPELLCHECK_RESULT})
    assert rest.computed == {Stage.SPELLCHECK_RESULT}
    assert not one.essay().pending


def test_no_stages_are_no_work(one: Workshop) -> None:
    before = all_rows(one.ledger)
    assert one.process(stages=frozenset()).records == {}
    assert all_rows(one.ledger) == before


def test_a_forced_pass_computes_everything_again_and_changes_nothing(one: Workshop) -> None:
    first = one.process()
    rows, blobs = all_rows(one.ledger), one.blob_hashes()
    one.clock.advance(60)
    again = one.process(force=True)
    assert again.computed == ALL
    assert one.speller.calls == 2
    assert [it.data_version for it in again.records.values()] == [
        it.data_version for it in first.records.values()
    ]
    assert all_rows(one.ledger) == rows
    assert one.blob_hashes() == blobs


@pytest.mark.parametrize(
    "second",
    [Extraction(code=Code.CORRUPTED_FILE), Extraction(text=TEXT + " More.", format="txt")],
)
def test_an_extractor_that_changes_its_mind_is_found_out_and_nothing_is_told(
    one: Workshop, second: Extraction
) -> None:
    pipeline = one.pipeline_with(extractor=ScriptedExtractor(ONE_TEXT, second))
    one.process(pipeline=pipeline)
    rows = all_rows(one.ledger)
    with pytest.raises(NotReproducibleError):
        one.process(pipeline=pipeline, force=True)
    assert all_rows(one.ledger) == rows


class FickleSpeller(CheapSpeller):
    """Flags another word from its second text on."""

    def check(self, text: str, options: SpellingOptions) -> SpellcheckReport:
        """See `Speller.check`."""
        self._wrong = frozenset({"sea"}) if self.calls else self._wrong
        return super().check(text, options)


def test_a_speller_that_changes_its_mind_is_found_out_and_nothing_is_told(one: Workshop) -> None:
    pipeline = one.pipeline_with(speller=FickleSpeller())
    one.process(pipeline=pipeline)
    rows = all_rows(one.ledger)
    with pytest.raises(NotReproducibleError):
        one.process(pipeline=pipeline, force=True)
    assert all_rows(one.ledger) == rows


def test_a_transient_rejection_is_recorded_and_replaced_by_the_next_pass(one: Workshop) -> None:
    pipeline = one.pipeline_with(extractor=ScriptedExtractor(TIMED_OUT, TIMED_OUT, ONE_TEXT))
    first = one.process(pipeline=pipeline)
    assert first.records[Stage.EXTRACTED_PLAINTEXT].transient
    assert not one.essay().pending
    assert one.facts().outcome(one.essay()) is EssayOutcome.REJECTED
    assert events(one.ledger, "essay_validation")[0]["transient"] is True
    second = one.process(pipeline=pipeline)
    assert Stage.EXTRACTED_PLAINTEXT in second.computed
    assert len(events(one.ledger, "essay_validation")) == 1
    counts = row_counts(one.ledger)
    third = one.process(pipeline=pipeline)
    assert third.records[Stage.EXTRACTED_PLAINTEXT].outcome is StageOutcome.ACCEPTED
    assert one.facts().outcome(one.essay()) is EssayOutcome.ACCEPTED
    after = row_counts(one.ledger)
    assert after["stage_outcomes"] == counts["stage_outcomes"] + 2
    assert one.process(pipeline=pipeline).computed == frozenset()


def test_a_final_rejection_stands_for_its_key(one: Workshop) -> None:
    reader = ScriptedExtractor(Extraction(code=Code.CORRUPTED_FILE), ONE_TEXT)
    pipeline = one.pipeline_with(extractor=reader)
    one.process(pipeline=pipeline)
    assert one.process(pipeline=pipeline).computed == frozenset()
    assert reader.calls == 1


def test_a_new_spelling_version_computes_spelling_only_from_stored_text(one: Workshop) -> None:
    reader = CountingExtractor(DirectExtractor())
    one.process(pipeline=one.pipeline_with(extractor=reader))
    newer = one.pipeline_with(extractor=reader, spelling_revision="2")
    one.blobs.fail("get", "raw_upload_blob")
    assert not one.essay().pending
    assert one.process(pipeline=newer).computed == {Stage.SPELLCHECK_RESULT}
    assert reader.calls == 1
    assert row_counts(one.ledger)["stage_outcomes"] == 5
    assert one.process(pipeline=newer).computed == frozenset()


def test_a_version_that_is_taken_back_shows_its_old_result_without_computing_it(
    one: Workshop,
) -> None:
    one.process()
    newer = one.pipeline_with(speller=CheapSpeller(frozenset({"sea"}), version="newer"))
    one.process(pipeline=newer)
    corrected = one.view().essays[0].corrected_blob
    assert one.process().computed == frozenset()
    assert one.view().essays[0].corrected_blob != corrected


def test_a_changed_word_list_changes_the_key_of_spelling_only(one: Workshop) -> None:
    one.process()
    lifecycle.change_settings(one.ledger, "class-a", BatchSettings(word_list=("teh",)))
    assert not one.essay().pending
    again = one.process()
    assert again.computed == {Stage.SPELLCHECK_RESULT}
    assert again.records[Stage.SPELLCHECK_RESULT].details["misspellings"] == 0


def test_changed_limits_change_the_key_of_validation_and_what_follows_from_it(
    one: Workshop,
) -> None:
    one.process()
    lifecycle.change_settings(one.ledger, "class-a", BatchSettings(min_words=6))
    assert one.process().computed == {Stage.VALIDATION_RESULT}
    lifecycle.change_settings(one.ledger, "class-a", BatchSettings(min_words=500))
    again = one.process()
    assert again.computed == {Stage.VALIDATION_RESULT, Stage.SPELLCHECK_RESULT}
    assert again.records[Stage.SPELLCHECK_RESULT].outcome is StageOutcome.NOT_REACHED


def test_an_essay_that_validation_alone_now_rejects_is_not_accepted(one: Workshop) -> None:
    one.process()
    lifecycle.change_settings(one.ledger, "class-a", BatchSettings(min_words=500))
    one.process(stages={Stage.VALIDATION_RESULT})
    assert one.facts().outcome(one.essay()) is not EssayOutcome.ACCEPTED


def test_a_rejected_essay_always_says_why(one: Workshop) -> None:
    lifecycle.change_settings(one.ledger, "class-a", BatchSettings(min_words=500))
    one.process()
    lifecycle.change_settings(one.ledger, "class-a", BatchSettings())
    one.process(stages={Stage.VALIDATION_RESULT})
    (line,) = one.view().essays
    assert (line.outcome is EssayOutcome.REJECTED) == (line.code is not None)


def test_equal_bytes_of_two_students_have_keys_and_blobs_of_their_own(one: Workshop) -> None:
    one.receive("Leo/essay.txt")
    first, second = one.process("e001"), one.process("e002")
    assert second.computed == ALL
    for stage in Stage:
        assert first.records[stage].materialization_key != second.records[stage].materialization_key
        if stage is not Stage.VALIDATION_RESULT:
            assert first.records[stage].blob_key != second.records[stage].blob_key
    assert len(events(one.ledger, "essay_content")) == 2


def test_work_on_a_version_that_is_no_longer_current_changes_nothing(one: Workshop) -> None:
    old = one.essay()
    one.receive("Ida/essay.txt", GOOD + b" More.")
    before = all_rows(one.ledger)
    with pytest.raises(SupersededError):
        one.pipeline.process(BatchSettings(), old)
    assert all_rows(one.ledger) == before
    assert one.process().computed == ALL
    assert events(one.ledger, "essay_content")[0]["essay_version"] == 2


def test_until_a_new_version_is_processed_the_essay_has_no_outcome(one: Workshop) -> None:
    one.process()
    one.receive("Ida/essay.txt", GOOD + b" More.")
    assert one.facts().outcome(one.essay()) is EssayOutcome.PENDING
    one.process()
    assert one.facts().outcome(one.essay()) is EssayOutcome.ACCEPTED


def test_a_damaged_raw_file_is_no_rejection(one: Workshop) -> None:
    blob = one.folder / "blobs" / one.essay().upload.blob_key
    assert raw_blob_is_intact(one.pipeline, one.essay()).passed
    blob.write_bytes(GOOD + b"!")
    assert not raw_blob_is_intact(one.pipeline, one.essay()).passed
    with pytest.raises(BlobCorruptedError):
        one.process()
    assert one.essay().pending
    assert events(one.ledger) == []


def test_extraction_is_found_reproducible_until_the_extractor_changes_its_mind(
    one: Workshop,
) -> None:
    other = Extraction(text="something else", format="txt")
    pipeline = one.pipeline_with(extractor=ScriptedExtractor(ONE_TEXT, ONE_TEXT, other))
    one.process(pipeline=pipeline)
    assert extraction_is_reproducible(pipeline, one.essay()).passed
    rows, blobs = all_rows(one.ledger), one.blob_hashes()
    assert not extraction_is_reproducible(pipeline, one.essay()).passed
    assert all_rows(one.ledger) == rows
    assert one.blob_hashes() == blobs
