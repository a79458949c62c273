"""Routes that hand out what is stored. Nothing of it is ever opened inside this origin.

Handed in files are of strangers: every answer is a download (Content-Disposition: attachment), its
type is not guessed by the browser (nosniff), and should it be shown after all, it has no rights
(CSP sandbox).
"""

import re
import unicodedata
from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import StreamingResponse

from huleedu_dagster.domain.access import Principal
from huleedu_dagster.domain.ids import ContentType
from huleedu_dagster.domain.outcomes import Stage
from huleedu_dagster.intake.authority import services_of, visible_batch
from huleedu_dagster.intake.batches import BatchId, EssayId, Reader
from huleedu_dagster.intake.contracts import UploadView
from huleedu_dagster.intake.problems import ProblemCode, ProblemError
from huleedu_dagster.ledger.records import Essay, Upload
from huleedu_dagster.pipeline.essay_views import UnknownEssayError
from huleedu_dagster.pipeline.views import BatchFacts

router = APIRouter(prefix="/v1/batches", tags=["downloads"])

_SANDBOX = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
_TEXT = "text/plain; charset=utf-8"
_REPORTS = {
    "json": (ContentType.BATCH_REPORT_JSON, "application/json"),
    "html": (ContentType.BATCH_REPORT_HTML, "text/html; charset=utf-8"),
}
_RESERVED = re.compile(r'[<>:"/\\|?*%]')
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9._-]")
_LONGEST_NAME = 100


@router.get("/{batch_id}/essays/{essay_id}/raw", response_class=Response)
def raw(request: Request, batch_id: BatchId, essay_id: EssayId, principal: Reader) -> Response:
    """Download the file as it was handed in."""
    _, essay = _essay(request, principal, batch_id, essay_id)
    return _handed_in(request, essay.upload, essay.slot)


@router.get("/{batch_id}/uploads", response_model=list[UploadView])
def uploads(request: Request, batch_id: BatchId, principal: Reader) -> list[UploadView]:
    """List every file that was handed in, also excess and late ones, in order of arrival."""
    with services_of(request).ledger.read() as tx:
        visible_batch(tx, principal, batch_id)
        found = tx.essays.uploads_of(batch_id)
        current = {it.upload.upload_id for it in tx.essays.of_batch(batch_id)}
    return [
        UploadView(
            upload_id=it.upload_id,
            file_name=it.path,
            version=it.version,
            status=it.status,
            essay_id=it.slot,
            current=it.upload_id in current,
            bytes=it.size,
            sha256=it.sha256,
            received_at=it.received_at,
        )
        for it in found
    ]


@router.get("/{batch_id}/uploads/{upload_id}/raw", response_class=Response)
def uploaded(
    request: Request,
    batch_id: BatchId,
    upload_id: Annotated[str, Path(description="Id of the upload, from its receipt.")],
    principal: Reader,
) -> Response:
    """Download any file that was handed in, also an excess or late one or an older version."""
    with services_of(request).ledger.read() as tx:
        visible_batch(tx, principal, batch_id)
        found = next(
            (it for it in tx.essays.uploads_of(batch_id) if it.upload_id == upload_id), None
        )
    if found is None:
        raise ProblemError(ProblemCode.NOT_FOUND, "The batch has no upload of this id.")
    return _handed_in(request, found, found.slot or found.status)


@router.get("/{batch_id}/essays/{essay_id}/text", response_class=Response)
def text(request: Request, batch_id: BatchId, essay_id: EssayId, principal: Reader) -> Response:
    """Download the text that was read from the file."""
    facts, essay = _essay(request, principal, batch_id, essay_id)
    record = facts.records.get(essay.slot, {}).get(Stage.EXTRACTED_PLAINTEXT)
    data = _derived(request, None if record is None else record.blob_key)
    return _download(data, f"{essay.slot}.txt", _TEXT)


@router.get("/{batch_id}/essays/{essay_id}/corrected", response_class=Response)
def corrected(
    request: Request, batch_id: BatchId, essay_id: EssayId, principal: Reader
) -> Response:
    """Download the corrected text."""
    facts, essay = _essay(request, principal, batch_id, essay_id)
    record = facts.records.get(essay.slot, {}).get(Stage.SPELLCHECK_RESULT)
    key = None if record is None else record.details.get("corrected_blob")
    return _download(_derived(request, key), f"{essay.slot}-corrected.txt", _TEXT)


@router.get("/{batch_id}/report.{form}", response_class=Response)
def report(
    request: Request,
    batch_id: BatchId,
    form: Annotated[Literal["json", "html"], Path(description="Form of the report.")],
    principal: Reader,
) -> Response:
    """Download the latest report of a batch."""
    kind, media_type = _REPORTS[form]
    with services_of(request).ledger.read() as tx:
        visible_batch(tx, principal, batch_id)
        key = tx.results.latest_blob(batch_id, kind)
    return _download(_derived(request, key), f"{batch_id}-report.{form}", media_type)


@router.get("/{batch_id}/bag.zip", response_class=Response)
def bag(request: Request, batch_id: BatchId, principal: Reader) -> Response:
    """Download all that is kept of a batch, as a BagIt bag in a zip for an archive.

    Files as handed in, texts, spelling results, events and reports as the batch stands, with a
    manifest of hashes to verify them by. A download that ends early is no whole zip.
    """
    # The intake starts without what makes reports.
    from huleedu_dagster.reports.bag import bag_pieces
    from huleedu_dagster.reports.bag_content import BagContent

    services = services_of(request)
    with services.ledger.read() as tx:
        visible_batch(tx, principal, batch_id)
        today = tx.now.date()
    content = BagContent.read(services.ledger, services.blobs, batch_id)
    pieces = bag_pieces(content, today)
    headers = _headers(f"{batch_id}.zip")
    return StreamingResponse(pieces, media_type="application/zip", headers=headers)


def download_name(place: str, path: str) -> str:
    """A name for a file that was handed in: its slot or status, then what is safe of its name.

    Marks that turn the direction of writing would let `exe.txt` be shown for `txt.exe`.
    """
    name = path.rsplit("/", 1)[-1]
    kept = "".join(it for it in name if unicodedata.category(it)[0] != "C")
    return f"{place}-{_RESERVED.sub('_', kept).strip(' .')[-_LONGEST_NAME:]}"


def _essay(
    request: Request, principal: Principal, batch_id: str, slot: str
) -> tuple[BatchFacts, Essay]:
    with services_of(request).ledger.read() as tx:
        visible_batch(tx, principal, batch_id)
        facts = BatchFacts.read(tx, batch_id)
    essay = next((it for it in facts.essays if it.slot == slot), None)
    if essay is None:
        raise UnknownEssayError(slot)
    return facts, essay


def _derived(request: Request, key: str | None) -> bytes:
    if key is None:
        raise ProblemError(ProblemCode.NOT_FOUND, "This result is not there, or not there yet.")
    # What is derived is kept under its own hash.
    return services_of(request).blobs.get(key, key.rsplit("/", 1)[-1])


def _handed_in(request: Request, upload: Upload, place: str) -> Response:
    # In pieces: files that are handed in may be large, and many may ask for one at once.
    pieces = services_of(request).blobs.pieces(upload.blob_key, upload.sha256)
    headers = {**_headers(download_name(place, upload.path)), "Content-Length": str(upload.size)}
    return StreamingResponse(pieces, media_type="application/octet-stream", headers=headers)


def _download(data: bytes, name: str, media_type: str) -> Response:
    return Response(data, media_type=media_type, headers=_headers(name))


def _headers(name: str) -> dict[str, str]:
    plain = _NOT_PLAIN.sub("_", name)
    disposition = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
    return {"Content-Disposition": disposition, "Content-Security-Policy": _SANDBOX}
