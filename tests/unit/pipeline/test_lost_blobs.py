"""Blobs that the store lost, as a power cut may do it to one that does not sync names."""

import pytest

from huleedu_dagster.domain.keys import sha256_hex
from huleedu_dagster.domain.outcomes import Stage
from huleedu_dagster.extraction.direct import DirectExtractor
from huleedu_dagster.extraction.port import Extraction
from huleedu_dagster.storage.port import BlobMissingError
from tests.support.fakes import CountingExtractor, ScriptedExtractor
from tests.support.ledger import all_rows
from tests.support.workshop import GOOD, Workshop

TO_TEXT = frozenset({Stage.RAW_UPLOAD, Stage.EXTRACTED_PLAINTEXT})
DERIVED = ("extracted_plaintext", "spellcheck_result", "corrected_text")
OF_BATCH = ("batch_manifest", "batch_report_html", "batch_report_json")


@pytest.fixture
def one(shop: Workshop) -> Workshop:
    """An installation with one good essay in it."""
    shop.register(expected=1)
    shop.receive("Ida/essay.txt")
    return shop


def lose(shop: Workshop, *kinds: str) -> list[str]:
    """Delete the blobs of these kinds; their keys."""
    keys = [it for kind in kinds for it in shop.blobs.keys(kind)]
    for key in keys:
        (shop.folder / "blobs" / key).unlink()
    return keys


def test_a_lost_text_is_extracted_once_more_for_what_is_made_from_it(one: Workshop) -> None:
    one.process(stages=TO_TEXT)
    before = one.pipeline.stored(one.essay()).records
    (key,) = lose(one, "extracted_plaintext")
    reader = CountingExtractor(DirectExtractor())

    result = one.process(pipeline=one.pipeline_with(extractor=reader))

    assert reader.calls == 1
    assert one.blobs.get(key, sha256_hex(GOOD)) == GOOD
    # It is the same text: what was recorded of it stands.
    assert {stage: result.records[stage] for stage in TO_TEXT} == before
    assert result.computed == set(Stage) - TO_TEXT


def test_a_lost_text_that_would_come_out_otherwise_is_missing(one: Workshop) -> None:
    one.process(stages=TO_TEXT)
    lose(one, "extracted_plaintext")
    other = ScriptedExtractor(
        Extraction(text="another text", format="txt"), version=DirectExtractor().version
    )
    with pytest.raises(BlobMissingError):
        one.process(pipeline=one.pipeline_with(extractor=other))
    assert list(one.blobs.keys("extracted_plaintext")) == []


def test_a_text_whose_file_is_lost_too_comes_back_when_the_file_is_handed_in_again(
    one: Workshop,
) -> None:
    one.process(stages=TO_TEXT)
    lose(one, "extracted_plaintext", "raw_upload_blob")
    with pytest.raises(BlobMissingError):
        one.process()

    one.receive("Ida/essay.txt")

    assert set(one.process().records) == set(Stage)


def test_what_was_made_of_an_essay_and_is_lost_comes_back_by_force(one: Workshop) -> None:
    one.process()
    before = all_rows(one.ledger)
    lost = lose(one, *DERIVED)
    assert len(lost) == len(DERIVED)

    one.process(force=True)

    assert [it for kind in DERIVED for it in one.blobs.keys(kind)] == lost
    assert all_rows(one.ledger) == before


def test_what_was_made_of_a_batch_and_is_lost_comes_back_when_it_is_made_again(
    one: Workshop,
) -> None:
    one.process()
    one.release()
    lost = lose(one, *OF_BATCH)
    assert len(lost) == len(OF_BATCH)

    one.release()

    assert [it for kind in OF_BATCH for it in one.blobs.keys(kind)] == lost
