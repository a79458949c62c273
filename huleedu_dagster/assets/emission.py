"""Turns stage records into Dagster materializations that staleness can be judged by.

Events that an op yields by hand lack what Dagster writes for ordinary assets, so the provenance is
added here: own data and code version, and for each input its data version and the storage id of
its event. Emitted stage by stage for a wave of essays, because the pointers of a stage exist only
once the stage before it is stored.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dagster import (
    AssetKey,
    AssetMaterialization,
    DagsterEventType,
    DagsterInstance,
    MetadataValue,
)

from huleedu_dagster.domain.outcomes import Stage
from huleedu_dagster.ledger.records import StageRecord
from huleedu_dagster.partitions import cell_key
from huleedu_dagster.pipeline.essays import EssayResult
from huleedu_dagster.resources.pages import IntakePagesResource

REGISTRATION = "batch_registration"
NO_ESSAY = "no essay"

INPUTS: Mapping[Stage, tuple[str, ...]] = {
    Stage.RAW_UPLOAD: (),
    Stage.EXTRACTED_PLAINTEXT: (Stage.RAW_UPLOAD.value,),
    Stage.VALIDATION_RESULT: (Stage.EXTRACTED_PLAINTEXT.value, REGISTRATION),
    Stage.SPELLCHECK_RESULT: (
        Stage.EXTRACTED_PLAINTEXT.value,
        Stage.VALIDATION_RESULT.value,
        REGISTRATION,
    ),
}
"""The inputs of each essay asset; the asset graph is built from this."""

_DATA_VERSION = "dagster/data_version"
_IS_USER_PROVIDED = "dagster/data_version_is_user_provided"
_CODE_VERSION = "dagster/code_version"
_INPUT_DATA_VERSION = "dagster/input_data_version"
_INPUT_POINTER = "dagster/input_event_pointer"

_Pointers = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class BatchEmission:
    """Emits the results of one batch.

    Attributes:
        settings_version: Data version of the batch's registration.
        stages: Stages that the run was asked for.
        settings_pointer: Storage id of the event of those settings, `None` if there is none.
        pages: Links the last stage of each essay to its page, where there is one.
    """

    instance: DagsterInstance
    batch_id: str
    settings_version: str
    stages: frozenset[Stage]
    settings_pointer: int | None = None
    pages: IntakePagesResource | None = None

    def events(self, results: Sequence[EssayResult]) -> Iterator[AssetMaterialization]:
        """The materializations of a wave, stage by stage."""
        for stage in Stage:
            due = [it for it in results if self._is_due(it, stage)]
            if not due:
                continue
            pointers = self._pointers(stage, [it.slot for it in due])
            for result in due:
                yield self._materialization(result, stage, pointers)

    def shows_all(self, result: EssayResult) -> bool:
        """Whether the events of a result cover all its stages."""
        return all(self._is_due(result, stage) for stage in Stage)

    def shows_any(self, result: EssayResult) -> bool:
        """Whether there are events of a result."""
        return any(self._is_due(result, stage) for stage in Stage)

    def _is_due(self, result: EssayResult, stage: Stage) -> bool:
        wanted = stage in self.stages or stage in result.computed
        return wanted and stage in result.records

    def _pointers(self, stage: Stage, slots: Sequence[str]) -> _Pointers:
        cells = {str(cell_key(self.batch_id, slot)) for slot in slots}
        found: dict[str, Mapping[str, int]] = {}
        for name in INPUTS[stage]:
            if name != REGISTRATION:
                found[name] = latest_pointers(self.instance, name, cells)
            elif self.settings_pointer is not None:
                # Of the settings that are used, not of those published since.
                found[name] = {self.batch_id: self.settings_pointer}
            else:
                found[name] = {}
        return found

    def _materialization(
        self, result: EssayResult, stage: Stage, pointers: _Pointers
    ) -> AssetMaterialization:
        record = result.records[stage]
        cell = str(cell_key(self.batch_id, result.slot))
        tags = {
            _DATA_VERSION: record.data_version,
            _IS_USER_PROVIDED: "true",
            _CODE_VERSION: record.code_version,
        }
        for name in INPUTS[stage]:
            of_batch = name == REGISTRATION
            version = (
                self.settings_version if of_batch else result.records[Stage(name)].data_version
            )
            pointer = pointers[name].get(self.batch_id if of_batch else cell)
            tags[f"{_INPUT_DATA_VERSION}/{name}"] = version
            tags[f"{_INPUT_POINTER}/{name}"] = "NULL" if pointer is None else str(pointer)
        return AssetMaterialization(
            AssetKey(stage.value),
            partition=cell,
            metadata={
                **self._link(result.slot, stage),
                **_metadata(record, computed=stage in result.computed),
            },
            tags=tags,
        )

    def _link(self, slot: str, stage: Stage) -> Mapping[str, MetadataValue]:
        # One of an essay's four events has it: a link makes an event longer by a twelfth.
        if self.pages is None or stage is not Stage.SPELLCHECK_RESULT:
            return {}
        return self.pages.essay(self.batch_id, slot)


def latest_pointers(
    instance: DagsterInstance, name: str, partitions: set[str]
) -> Mapping[str, int]:
    """Storage ids of the latest materializations of an asset, by partition."""
    return instance.get_latest_storage_id_by_partition(
        AssetKey(name), DagsterEventType.ASSET_MATERIALIZATION, partitions
    )


def no_essay_events(
    batch_id: str, slots: Iterable[str], stages: Iterable[Stage]
) -> Iterator[AssetMaterialization]:
    """Materializations of cells that are no registered essays, so that a backfill can end well."""
    for slot in slots:
        for stage in stages:
            yield AssetMaterialization(
                AssetKey(stage.value),
                partition=str(cell_key(batch_id, slot)),
                metadata={"outcome": NO_ESSAY},
                tags={_DATA_VERSION: NO_ESSAY, _IS_USER_PROVIDED: "true"},
            )


def _metadata(record: StageRecord, *, computed: bool) -> dict[str, MetadataValue]:
    metadata: dict[str, MetadataValue] = {
        "outcome": MetadataValue.text(record.outcome.value.replace("_", " ")),
        "computed": MetadataValue.bool(computed),
        "data_version": MetadataValue.text(record.data_version),
        "materialization_key": MetadataValue.text(record.materialization_key),
        "duration_ms": MetadataValue.int(record.duration_ms),
    }
    if record.code is not None:
        metadata["code"] = MetadataValue.text(record.code.value)
        metadata["transient"] = MetadataValue.bool(record.transient)
    if record.blob_key is not None:
        metadata["blob"] = MetadataValue.text(record.blob_key)
    for name, value in record.details.items():
        if isinstance(value, int):
            metadata[name] = MetadataValue.int(value)
        else:
            metadata[name] = MetadataValue.text(
                value if isinstance(value, str) else ", ".join(value)
            )
    return metadata
