"""The four assets of every essay, made by one streaming op: one run per batch wave.

A failing essay never fails its neighbours: the op finishes the others, records the attempt and
raises once at the end. This module only asks the pipeline and yields what it did.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from traceback import clear_frames
from typing import Any

from dagster import (
    AssetCheckEvaluation,
    AssetExecutionContext,
    AssetKey,
    AssetMaterialization,
    AssetsDefinition,
    AssetSpec,
    BackfillPolicy,
    Config,
    Failure,
    multi_asset,
)
from pydantic import Field

from huleedu_dagster.assets import texts
from huleedu_dagster.assets.checks import essay_check_specs, essay_evaluations
from huleedu_dagster.assets.emission import (
    INPUTS,
    REGISTRATION,
    BatchEmission,
    latest_pointers,
    no_essay_events,
)
from huleedu_dagster.assets.groups import ESSAY_GROUP, OF_ESSAYS, OWNERS
from huleedu_dagster.assets.registration import registration_event
from huleedu_dagster.assets.shown import shown_data_version, told_by_run, untold
from huleedu_dagster.dagster_storage.batching import store_collected
from huleedu_dagster.domain.outcomes import Stage
from huleedu_dagster.domain.registration import BatchSettings
from huleedu_dagster.ledger.records import Essay
from huleedu_dagster.observability.log_essays import EssayLog
from huleedu_dagster.observability.log_runs import RunLog
from huleedu_dagster.partitions import ESSAYS, cell_key, cells_by_batch
from huleedu_dagster.pipeline.essays import EssayPipeline, EssayResult, SupersededError
from huleedu_dagster.pipeline.stages import Tools
from huleedu_dagster.pipeline.versions import CodeVersions
from huleedu_dagster.resources.blobs import BlobStoreResource
from huleedu_dagster.resources.extractor import ExtractorResource
from huleedu_dagster.resources.ledger import LedgerResource
from huleedu_dagster.resources.pages import IntakePagesResource
from huleedu_dagster.resources.speller import SpellerResource

OP_NAME = "essays"
FAILED_ESSAYS = "essays"
"""Metadata of the failure of a run that ended by itself: the cells it failed at, with commas."""
_WAVE = 25
"""Essays whose events are written together, at most."""
_SHOWN_SECONDS = 1.0
"""How long essays that are done may wait for the others of their wave."""

_Pass = Future[EssayResult]

_KINDS = {
    Stage.RAW_UPLOAD: {"python", "file"},
    Stage.EXTRACTED_PLAINTEXT: {"python", "text"},
    Stage.VALIDATION_RESULT: {"python"},
    Stage.SPELLCHECK_RESULT: {"python", "pyspellchecker"},
}


class EssayRunConfig(Config):
    """What a run of the essay op may be told.

    Attributes:
        force: Compute again what is done; every result must come out the same.
        slots: Compute only what is pending or asked for again in these slots and emit what is
            stored for the other cells of the run; all cells when empty.
    """

    force: bool = False
    slots: list[str] = Field(default_factory=list)


def build_essay_assets(
    versions: CodeVersions, *, max_attempts: int, parallel: int
) -> AssetsDefinition:
    """The essay assets with the code versions of this installation.

    Args:
        versions: Code version of each stage.
        max_attempts: Failures of infrastructure after which an essay becomes a dead letter.
        parallel: Essays that a run works on at the same time; as many as files can be read at
            the same time.
    """
    specs = [
        AssetSpec(
            stage.value,
            deps=list(INPUTS[stage]),
            description=texts.STAGES[stage],
            group_name=ESSAY_GROUP,
            owners=OWNERS,
            tags=OF_ESSAYS,
            kinds=_KINDS[stage],
            code_version=versions.of_stage(stage),
            skippable=True,
        )
        for stage in Stage
    ]

    @multi_asset(
        name=OP_NAME,
        specs=specs,
        check_specs=essay_check_specs(),
        partitions_def=ESSAYS,
        can_subset=True,
        backfill_policy=BackfillPolicy.single_run(),
    )
    def essays(
        context: AssetExecutionContext,
        config: EssayRunConfig,
        ledger: LedgerResource,
        blobs: BlobStoreResource,
        extractor: ExtractorResource,
        speller: SpellerResource,
        pages: IntakePagesResource,
    ) -> Iterator[Any]:
        tools = Tools(blobs.open(), extractor.open(), speller.open(), versions)
        pipeline = EssayPipeline(ledger.open(), tools, max_attempts=max_attempts)
        with _threads(parallel) as threads:
            yield from _run(context, config, pipeline, pages, threads)

    return essays


@contextmanager
def _threads(parallel: int) -> Iterator[ThreadPoolExecutor]:
    threads = ThreadPoolExecutor(parallel, thread_name_prefix="essay")
    try:
        yield threads
    finally:
        # An interrupted run finishes the essays under way and begins no other.
        threads.shutdown(cancel_futures=True)


def _run(
    context: AssetExecutionContext,
    config: EssayRunConfig,
    pipeline: EssayPipeline,
    pages: IntakePagesResource,
    threads: ThreadPoolExecutor,
) -> Iterator[AssetMaterialization | AssetCheckEvaluation]:
    stages = frozenset(Stage(key.to_user_string()) for key in context.selected_asset_keys)
    failed: list[str] = []
    # A run that goes on in another process tells nothing twice.
    told = told_by_run(context.instance, context.run.run_id)
    for batch_id, slots in cells_by_batch(context.partition_keys).items():
        with pipeline.ledger.read() as tx:
            batch = tx.batches.find(batch_id)
            found = {it.slot: it for it in tx.essays.of_batch(batch_id)}
        corr_id = None if batch is None else batch.registration.correlation_id
        log = RunLog(context.run.run_id, corr_id=corr_id, batch_id=batch_id)
        before = len(failed)
        essays = [found[slot] for slot in slots if slot in found]
        none = [it for it in slots if it not in found]
        yield from untold(no_essay_events(batch_id, none, stages), told)
        if batch is not None and stages:
            settings = batch.registration.settings
            passes = _Passes(context, config, pipeline, pages, threads, settings, stages, failed)
            yield from untold(passes.events(batch_id, essays), told)
        checks = context.selected_asset_check_keys
        run_id = context.run.run_id
        yield from essay_evaluations(checks, pipeline, essays, pages, failed, run_id=run_id)
        log.ended(essays=len(essays), failed=len(failed) - before)
    _raise_once(failed)


@dataclass(frozen=True, slots=True)
class _Passes:
    """Takes the essays of one batch through the pipeline; `failed` gets the cells that failed."""

    context: AssetExecutionContext
    config: EssayRunConfig
    pipeline: EssayPipeline
    pages: IntakePagesResource
    threads: ThreadPoolExecutor
    settings: BatchSettings
    stages: frozenset[Stage]
    failed: list[str]

    def events(self, batch_id: str, essays: Sequence[Essay]) -> Iterator[AssetMaterialization]:
        """Process the essays wave by wave and emit what came out."""
        instance, version = self.context.instance, self.settings.data_version
        if shown_data_version(instance, AssetKey(REGISTRATION), batch_id) != version:
            yield registration_event(batch_id, self.settings)
        pointer = latest_pointers(instance, REGISTRATION, {batch_id}).get(batch_id)
        emission = BatchEmission(instance, batch_id, version, self.stages, pointer, self.pages)
        for finished in self.finished(essays):
            found = [(essay, self.outcome(essay, future)) for essay, future in finished]
            done = [(essay, result) for essay, result in found if result is not None]
            yield from emission.events([result for _, result in done])
            store_collected(instance, self.context.run.run_id)
            # A run of some stages leaves an essay shown if it was, and due if it was.
            shown = [it for it in done if emission.shows_all(it[1]) or not it[0].due]
            again = [it for it, _ in shown if it.reprocess is not None and self.computes(it)]
            told = [result for _, result in done if emission.shows_any(result)]
            whole = {essay.slot for essay, _ in shown}
            self.pipeline.mark_shown(batch_id, told, whole, again)

    def finished(self, essays: Sequence[Essay]) -> Iterator[list[tuple[Essay, _Pass]]]:
        """Take essays through their stages, wave by wave; those of a wave that are done together.

        One that takes long does not hide the others of its wave.
        """
        begun = self.begin_all(essays[:_WAVE])
        for start in range(_WAVE, len(essays) + _WAVE, _WAVE):
            # The threads go on with these while this one writes the events of the others.
            following = self.begin_all(essays[start : start + _WAVE])
            pending = {future for _, future in begun}
            while pending:
                done, pending = wait(pending, timeout=_SHOWN_SECONDS)
                if done:
                    yield [(essay, future) for essay, future in begun if future in done]
            begun = following

    def begin_all(self, essays: Sequence[Essay]) -> list[tuple[Essay, _Pass]]:
        """Start a pass over each of some essays."""
        return [(it, self.begin(it)) for it in essays]

    def computes(self, essay: Essay) -> bool:
        """Whether this run takes an essay through its stages."""
        if self.config.force or not self.config.slots:
            return True
        asked = essay.pending or essay.reprocess is not None
        return asked and essay.slot in self.config.slots

    def begin(self, essay: Essay) -> _Pass:
        """Start a pass over one essay, or the reading of what is stored of it."""
        if not self.computes(essay):
            return self.threads.submit(self.pipeline.stored, essay)
        return self.threads.submit(self.process, essay)

    def process(self, essay: Essay) -> EssayResult:
        """Take one essay through its stages; an error keeps nothing of the essay in memory."""
        try:
            return self.pipeline.process(self.settings, essay, self.stages, force=self.config.force)
        except BaseException as error:
            _let_go(error)
            raise

    def outcome(self, essay: Essay, future: _Pass) -> EssayResult | None:
        """What came out for one essay, `None` if it failed or was superseded."""
        log = EssayLog(essay, run_id=self.context.run.run_id)
        # Asked for, not raised: what ends the process in a thread must not pass for an interrupt
        # of the run.
        error = future.exception()
        if isinstance(error, SupersededError):
            return None
        if error is not None:
            self.failed.append(str(cell_key(essay.upload.batch_id, essay.slot)))
            _record(self.pipeline, essay, self.context.run.run_id, error, log)
            return None
        result = future.result()
        log.done(result)
        return result


def _record(
    pipeline: EssayPipeline, essay: Essay, run_id: str, error: BaseException, log: EssayLog
) -> None:
    try:
        dead = pipeline.record_failure(essay, run_id=run_id, error=error)
    except Exception as unrecorded:
        # With the ledger away nothing can be counted here; the failure sensor counts this run.
        log.failed(unrecorded, dead=False)
        return
    log.failed(error, dead=dead)


def _let_go(error: BaseException) -> None:
    """Clear the variables of the calls that an error came through: bytes and text are in them."""
    seen: set[int] = set()
    found: BaseException | None = error
    # An error may be its own cause.
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        clear_frames(found.__traceback__)
        found = found.__cause__ or found.__context__


def _raise_once(failed: Sequence[str]) -> None:
    if failed:
        raise Failure(
            description=f"{len(failed)} essays failed for reasons of infrastructure",
            metadata={FAILED_ESSAYS: ", ".join(failed)},
            allow_retries=False,
        )
