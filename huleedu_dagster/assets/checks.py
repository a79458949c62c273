"""Checks: a batch is complete before its release; an essay's raw blob and text can be trusted.

`batch_is_complete` blocks the release. The checks of single essays run on demand and by the audit,
inside the essay op, so that a range of cells is one run with one evaluation for each cell.
"""

from collections.abc import Callable, Iterable, Iterator

from dagster import (
    AssetCheckEvaluation,
    AssetCheckExecutionContext,
    AssetCheckKey,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSpec,
    AssetKey,
    MetadataValue,
    asset_check,
)

from huleedu_dagster.assets import texts
from huleedu_dagster.assets.batches import MANIFEST
from huleedu_dagster.assets.figures import completeness_metadata
from huleedu_dagster.domain.outcomes import Stage
from huleedu_dagster.ledger.records import Essay
from huleedu_dagster.observability.log_essays import EssayLog
from huleedu_dagster.partitions import BATCHES, ESSAYS, cell_key
from huleedu_dagster.pipeline.audits import Verdict, extraction_is_reproducible, raw_blob_is_intact
from huleedu_dagster.pipeline.essays import EssayPipeline
from huleedu_dagster.pipeline.views import BatchFacts
from huleedu_dagster.resources.ledger import LedgerResource
from huleedu_dagster.resources.pages import IntakePagesResource

COMPLETE = "batch_is_complete"

_ESSAY_CHECKS: dict[str, tuple[Stage, str, Callable[[EssayPipeline, Essay], Verdict]]] = {
    "raw_blob_is_intact": (
        Stage.RAW_UPLOAD,
        texts.RAW_BLOB_IS_INTACT,
        raw_blob_is_intact,
    ),
    "extraction_is_reproducible": (
        Stage.EXTRACTED_PLAINTEXT,
        texts.EXTRACTION_IS_REPRODUCIBLE,
        extraction_is_reproducible,
    ),
}


def essay_check_specs() -> list[AssetCheckSpec]:
    """The checks that the essay op evaluates."""
    return [
        AssetCheckSpec(name, asset=stage.value, description=text, partitions_def=ESSAYS)
        for name, (stage, text, _) in _ESSAY_CHECKS.items()
    ]


def essay_check_keys() -> list[AssetCheckKey]:
    """The keys of the checks that the essay op evaluates."""
    return [spec.key for spec in essay_check_specs()]


def essay_evaluations(
    keys: Iterable[AssetCheckKey],
    pipeline: EssayPipeline,
    essays: Iterable[Essay],
    pages: IntakePagesResource,
    failed: list[str],
    *,
    run_id: str,
) -> Iterator[AssetCheckEvaluation]:
    """One evaluation for each check and essay.

    Args:
        keys: Checks to evaluate.
        pipeline: What they work with.
        essays: Essays to check.
        pages: Links an evaluation that did not pass to the page of its essay.
        failed: Gets the cells for which there is no verdict: the store or the extractor failed.
        run_id: The run that they are of.
    """
    names = sorted(key.name for key in keys)
    for essay in essays:
        for name in names:
            stage, _, check = _ESSAY_CHECKS[name]
            cell = str(cell_key(essay.upload.batch_id, essay.slot))
            try:
                verdict = check(pipeline, essay)
            except Exception as error:
                # No verdict. Not raised here: the message may quote the file, others go on.
                EssayLog(essay, run_id=run_id).unchecked(name, error)
                failed.append(cell)
                continue
            yield AssetCheckEvaluation(
                asset_key=AssetKey(stage.value),
                check_name=name,
                passed=verdict.passed,
                metadata={
                    "found": MetadataValue.text(verdict.found),
                    **({} if verdict.passed else pages.essay(essay.upload.batch_id, essay.slot)),
                },
                partition=cell,
            )


def build_completeness_check() -> AssetChecksDefinition:
    """The check that blocks the release of an incomplete batch."""

    @asset_check(
        asset=MANIFEST,
        name=COMPLETE,
        description=texts.BATCH_IS_COMPLETE,
        blocking=True,
        partitions_def=BATCHES,
    )
    def batch_is_complete(
        context: AssetCheckExecutionContext, ledger: LedgerResource, pages: IntakePagesResource
    ) -> AssetCheckResult:
        """The batch is settled, nothing is missing and there is no dead letter, waivers counted."""
        batch_id = context.partition_key
        with ledger.open().read() as tx:
            found = BatchFacts.read(tx, batch_id).completeness
        metadata = {**completeness_metadata(found), **pages.batch(batch_id)}
        return AssetCheckResult(passed=found.ready, metadata=metadata)

    return batch_is_complete
