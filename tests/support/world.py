"""An installation to act in: real ledger, store, sensors, runs and checks; no daemon, no server."""

import asyncio
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from dagster import (
    AssetCheckKey,
    AssetKey,
    DagsterInstance,
    DagsterRun,
    ExecuteInProcessResult,
    RunsFilter,
)

from huleedu_dagster.domain.registration import BatchSettings
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.orchestration.home import DagsterHome
from huleedu_dagster.orchestration.in_process import InProcessDaemon
from huleedu_dagster.pipeline.intake import Intake, Receipt
from huleedu_dagster.pipeline.lifecycle import register
from huleedu_dagster.pipeline.views import BatchFacts, BatchView, batch_view
from huleedu_dagster.settings import Settings
from huleedu_dagster.storage.local import LocalBlobStore
from tests.support import world_defs
from tests.support.counted import CountedBlobStore
from tests.support.fakes import ManualClock
from tests.support.ledger import facts

GOOD = "The class went to the museum on Friday and everyone liked the old ships very much."


def range_tags(first: str, last: str) -> dict[str, str]:
    """Tags of a run over a range of cells."""
    return {
        "dagster/asset_partition_range_start": first,
        "dagster/asset_partition_range_end": last,
    }


class World:
    """One installation, its daemon's code in this process.

    Args:
        home: Its home folder.
        monkeypatch: Puts the environment of the installation in place.
    """

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self._stack = ExitStack()
        # As in every process of an installation.
        monkeypatch.setenv("DAGSTER_REDACT_USER_CODE_ERRORS", "true")
        self.setting("HOME", str(home))
        self.setting("SENSOR_INTERVAL_SECONDS", "1")
        self.setting("INBOX_SETTLE_SECONDS", "0")
        self.clock = ManualClock()
        self.settings = Settings()
        self.ledger = Ledger(self.settings.resolved_ledger_url, clock=self.clock)
        self.blobs = CountedBlobStore(LocalBlobStore(self.settings.blob_folder))
        self.intake = Intake(self.ledger, self.blobs, self.settings.max_slots)
        self.instance: DagsterInstance
        self.daemon: InProcessDaemon

    def __enter__(self) -> "World":
        """Open everything."""
        self.ledger.migrate()
        world_defs.use(self.ledger, self.blobs)
        self.instance = self._stack.enter_context(DagsterHome(self.settings).instance())
        self.reload()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close everything."""
        self.daemon.__exit__(None, None, None)
        self._stack.close()
        self.ledger.close()

    def setting(self, name: str, value: str) -> None:
        """Put a setting into the environment; `reload` makes the definitions follow."""
        self._monkeypatch.setenv(f"HULEEDU_{name}", value)

    def reload(self) -> None:
        """Load the definitions again, as a restart of the code location would."""
        if hasattr(self, "daemon"):
            self.daemon.__exit__(None, None, None)
        self.settings = Settings()
        self.daemon = InProcessDaemon(self.instance, module="tests.support.world_defs")
        self.daemon.__enter__()

    def register(self, batch: str, expected: int | None = None, **more: Any) -> None:
        """Register a batch."""
        settings = more.pop("settings", BatchSettings())
        register(self.ledger, batch, settings=settings, expected_essay_count=expected, **more)

    def hand_in(self, batch: str, files: dict[str, bytes]) -> list[Receipt]:
        """Hand in files in one request."""
        with self.intake.submission(batch) as submission:
            for path, data in files.items():
                submission.receive(path, data)
        return submission.receipts

    def tick(self, times: int = 1) -> None:
        """Tick every sensor and execute what they ask for."""
        for _ in range(times):
            self.daemon.tick()

    def settle(self, most: int = 12) -> None:
        """Tick until the sensors ask for nothing more."""
        idle = 0
        for _ in range(most):
            before = self.daemon.run_count()
            self.daemon.tick()
            idle = idle + 1 if self.daemon.run_count() == before else 0
            if idle == 2:
                return
        raise AssertionError(f"still asking for runs after {most} ticks")

    def execute(
        self, job: str, *, first: str, last: str, config: dict[str, Any] | None = None
    ) -> ExecuteInProcessResult:
        """Execute a job for a range of cells, as a person does from the launchpad."""
        repository = world_defs.defs().get_repository_def()
        return repository.get_job(job).execute_in_process(
            instance=self.instance,
            run_config=config,
            tags=range_tags(first, last),
            raise_on_error=False,
        )

    def materialize(self, assets: list[str], cell: str) -> ExecuteInProcessResult:
        """Materialize some essay assets of one cell."""
        repository = world_defs.defs().get_repository_def()
        return repository.get_job("process_essays").execute_in_process(
            instance=self.instance,
            tags=range_tags(cell, cell),
            asset_selection=[AssetKey(it) for it in assets],
            raise_on_error=False,
        )

    def execute_check(self, job: str, key: AssetCheckKey, cell: str) -> ExecuteInProcessResult:
        """Execute one check of a job and none of its assets."""
        found = world_defs.defs().get_repository_def().get_job(job)
        return found.get_subset(
            asset_selection=set(), asset_check_selection={key}
        ).execute_in_process(instance=self.instance, tags={"dagster/partition": cell})

    def view(self, batch: str) -> BatchView:
        """A batch as readers are told."""
        with self.ledger.read() as tx:
            return batch_view(BatchFacts.read(tx, batch), tx.now)

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """Envelopes in the outbox, all or those of one event by a part of its type."""
        with self.ledger.read() as tx:
            found = [envelope for _, envelope in tx.outbox.envelopes()]
        return [it for it in found if name is None or name in it["event_type"]]

    def runs(self, job: str | None = None, **tags: str) -> list[DagsterRun]:
        """Runs, the latest first."""
        return list(self.instance.get_runs(RunsFilter(job_name=job, tags=tags)))

    def rows(self) -> dict[str, int]:
        """Number of rows of every table of the ledger; see `facts`."""
        return {name: len(rows) for name, rows in facts(self.ledger).items()}

    def blob_keys(self) -> set[str]:
        """Keys of all stored blobs."""
        root = self.settings.blob_folder
        return {it.relative_to(root).as_posix() for it in root.rglob("*") if it.is_file()}

    def materialized(self, asset: str) -> set[str]:
        """Partitions of an asset that Dagster shows as materialized."""
        return set(self.instance.get_materialized_partitions(AssetKey(asset)))

    def materialization_count(self, asset: str, partition: str | None = None) -> int:
        """Number of materializations of an asset, or of one of its partitions."""
        from dagster import AssetRecordsFilter

        found = self.instance.fetch_materializations(
            AssetRecordsFilter(
                asset_key=AssetKey(asset),
                asset_partitions=None if partition is None else [partition],
            ),
            limit=10_000,
        )
        return len(found.records)

    def graphql(self, query: str, **variables: Any) -> Any:
        """Ask what the UI asks."""
        from dagster._core.definitions.partitions.context import partition_loading_context
        from dagster_graphql.schema import create_schema

        with partition_loading_context(dynamic_partitions_store=self.instance):
            result = asyncio.run(
                create_schema().execute_async(
                    query,
                    context_value=self.daemon.workspace.create_request_context(),
                    variable_values=variables,
                )
            )
        assert not result.errors, result.errors
        return result.data
