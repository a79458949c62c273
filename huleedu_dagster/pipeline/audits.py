"""What can be checked of one stored essay: its bytes, and that its text comes out again."""

from dataclasses import dataclass

from huleedu_dagster.domain.ids import suffix_of
from huleedu_dagster.domain.keys import hash_of, sha256_hex
from huleedu_dagster.domain.outcomes import Stage
from huleedu_dagster.domain.registration import BatchSettings
from huleedu_dagster.ledger.records import Essay
from huleedu_dagster.pipeline.essays import EssayPipeline
from huleedu_dagster.pipeline.stages import EssayWork
from huleedu_dagster.storage.port import BlobCorruptedError, BlobMissingError


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of one check.

    Attributes:
        found: What was found, in a few words; never text of the essay.
    """

    passed: bool
    found: str


def raw_blob_is_intact(pipeline: EssayPipeline, essay: Essay) -> Verdict:
    """Whether the stored bytes have the hash they were received with.

    Raises:
        OSError: The store cannot be reached.
    """
    try:
        pipeline.tools.blobs.get(essay.upload.blob_key, essay.upload.sha256)
    except (BlobCorruptedError, BlobMissingError) as error:
        return Verdict(passed=False, found=str(error))
    return Verdict(passed=True, found="intact")


def extraction_is_reproducible(pipeline: EssayPipeline, essay: Essay) -> Verdict:
    """Whether extracting the stored bytes again gives the recorded result.

    Raises:
        OSError: The store or the extractor cannot be reached.
    """
    kept = pipeline.stored(essay).records
    recorded = kept.get(Stage.EXTRACTED_PLAINTEXT)
    if recorded is None:
        return Verdict(passed=True, found="not extracted yet")
    tools, upload = pipeline.tools, essay.upload
    work = EssayWork(tools, BatchSettings(), essay, kept)
    if recorded.materialization_key != work.key(Stage.EXTRACTED_PLAINTEXT):
        return Verdict(passed=True, found="made by another code version")
    try:
        data = tools.blobs.get(upload.blob_key, upload.sha256)
    except (BlobCorruptedError, BlobMissingError) as error:
        return Verdict(passed=False, found=str(error))
    found = tools.extractor.extract(data, suffix_of(upload.path))
    again = (
        hash_of(["rejected", found.code]) if found.text is None else sha256_hex(found.text.encode())
    )
    same = again == recorded.data_version or recorded.transient
    return Verdict(passed=same, found="same result" if same else "another result")
