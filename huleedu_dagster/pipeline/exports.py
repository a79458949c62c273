"""Results as files for people: corrected texts and the report, in a folder of their own."""

import re
from pathlib import Path

from huleedu_dagster.domain.ids import ContentType
from huleedu_dagster.domain.outcomes import Stage, StageOutcome
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.pipeline.views import BatchFacts
from huleedu_dagster.storage.port import BlobStore

_UNSAFE = re.compile(r"[^\w.-]+")
_LONGEST_NAME = 80


def export_batch(ledger: Ledger, blobs: BlobStore, batch_id: str, folder: Path) -> list[Path]:
    """Write the corrected texts and the latest report of a batch; what is the same is left alone.

    Corrected texts that were written before and are none of the batch any more are removed.

    Args:
        ledger: Where the results are found.
        blobs: Where they are stored.
        batch_id: The batch.
        folder: A folder of the batch's own; made if needed.

    Returns:
        The files, written now or before.

    Raises:
        UnknownBatchError: The batch is not registered.
        BlobStoreError: A result is missing in the store or damaged.
        OSError: The folder cannot be written.
    """
    with ledger.read() as tx:
        facts = BatchFacts.read(tx, batch_id)
        reports = {
            suffix: tx.results.latest_blob(batch_id, kind)
            for suffix, kind in (
                ("json", ContentType.BATCH_REPORT_JSON),
                ("html", ContentType.BATCH_REPORT_HTML),
            )
        }
    contents: dict[Path, bytes] = {}
    for suffix, key in reports.items():
        if key is not None:
            contents[folder / f"report.{suffix}"] = _read(blobs, key)
    for essay in facts.essays:
        record = facts.records.get(essay.slot, {}).get(Stage.SPELLCHECK_RESULT)
        if record is not None and record.outcome is StageOutcome.ACCEPTED:
            name = export_name(essay.slot, essay.upload.path)
            contents[folder / "corrected" / name] = _read(blobs, record.details["corrected_blob"])
    for path, data in contents.items():
        _write(path, data)
    for path in (folder / "corrected").glob("e[0-9][0-9][0-9]-*.txt"):
        if path not in contents:
            path.unlink()
    return list(contents)


def export_name(slot: str, path: str) -> str:
    """The name of an essay's corrected text: its slot, then what is safe of its own name."""
    safe = _UNSAFE.sub("_", path).strip("._")[-_LONGEST_NAME:]
    return f"{slot}-{safe}.txt"


def _read(blobs: BlobStore, key: str) -> bytes:
    return blobs.get(key, key.rsplit("/", 1)[-1])


def _write(path: Path, data: bytes) -> None:
    if path.exists() and path.read_bytes() == data:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_bytes(data)
    temporary.replace(path)
