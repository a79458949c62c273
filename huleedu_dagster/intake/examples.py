"""Examples of answers for readers of the description; a test holds them to real answers."""

from collections.abc import Mapping
from typing import Any

_BATCH_ID = "class-9b"
_UPLOAD_ID = "849e59ccb1cd46a58306b28564582865"
_SHA256 = "d2428d2ee3ec526b442ec8676bc5fa6400b56a44aa3f8e4f8b5a1fde80c91988"
_CORRECTED_SHA256 = "a1bc12274bc9855c752a7a4fe5bdc44db56106ab65dfd7c45e42b6ec8840feba"
_TEXT = "This essay is about teh sea and the ships on it."
_CORRECTED = "This essay is about the sea and the ships on it."

_ESSAY: Mapping[str, Any] = {
    "essay_id": "e001",
    "file_name": "Ida Berg/essay.txt",
    "outcome": "accepted",
    "code": None,
    "message": "",
    "words": 11,
    "misspellings": 1,
    "duplicate_of": None,
    "raw_blob": f"raw_upload_blob/{_BATCH_ID}/{_UPLOAD_ID}",
    "text_blob": f"extracted_plaintext/{_BATCH_ID}/e001/{_SHA256}",
    "corrected_blob": f"corrected_text/{_BATCH_ID}/e001/{_CORRECTED_SHA256}",
}
_EMPTY: Mapping[str, Any] = {
    "essay_id": "e002",
    "file_name": "Nils Holm/essay.txt",
    "outcome": "rejected",
    "code": "EMPTY_CONTENT",
    "message": "The file has no text in it. "
    "Check that the right file was handed in, and hand in the one with the essay.",
    "words": None,
    "misspellings": None,
    "duplicate_of": None,
    "raw_blob": f"raw_upload_blob/{_BATCH_ID}/16aa7c20801a470eb901f09e532f07b8",
    "text_blob": None,
    "corrected_blob": None,
}
_SUMMARY: Mapping[str, Any] = {
    "batch_id": _BATCH_ID,
    "status": "ready",
    "expected": 2,
    "received": 2,
    "ready": 1,
    "rejected": 1,
    "dead_lettered": 0,
    "missing": 0,
    "excess": 0,
    "waived": 0,
    "waiting_since": None,
    "duration_seconds": 8.214,
}
BATCH: Mapping[str, Any] = {**_SUMMARY, "essays": [_ESSAY, _EMPTY]}
_MISSPELLING = {"word": "teh", "count": 1, "suggestions": ["the"], "confidence": "certain"}

_STAGE: Mapping[str, Any] = {
    "stage": "raw_upload",
    "outcome": "accepted",
    "code": None,
    "data_version": _SHA256,
    "code_version": "1",
    "duration_ms": 1,
}
_ESSAY_VIEW: Mapping[str, Any] = {
    "batch_id": _BATCH_ID,
    **_ESSAY,
    "versions": [
        {
            "version": 1,
            "status": "assigned",
            "current": True,
            "received_at": "2026-11-22T09:00:00+00:00",
            "sha256": _SHA256,
            "bytes": 48,
            "raw_blob": _ESSAY["raw_blob"],
        }
    ],
    "stages": [_STAGE],
    "text": _TEXT,
    "corrected_text": _CORRECTED,
    "corrections": [
        {
            "offset": 20,
            "length": 3,
            "original": "teh",
            "suggestions": ["the"],
            "confidence": "certain",
            "reason": "far_more_common",
            "applied": True,
        }
    ],
    "misspelled_words": [_MISSPELLING],
}
_REGISTERED: Mapping[str, Any] = {
    "batch_id": _BATCH_ID,
    "correlation_id": "5f0c3b1e-8f1b-4f63-9c0e-2f9b6f6f7f11",
    "expected_essay_count": 2,
    "settings": {
        "language": "en",
        "variety": "en-GB",
        "min_words": 5,
        "max_words": 1000,
        "word_list": ["nils", "selma"],
        "apply_corrections": "certain",
    },
}
_KEPT: Mapping[str, Any] = {
    "file_name": "Ida Berg/essay.txt",
    "status": "new_essay",
    "upload_id": _UPLOAD_ID,
    "sha256": _SHA256,
    "bytes": 48,
    "received_at": "2026-11-22T09:00:00Z",
    "essay_id": "e001",
    "code": None,
    "message": "",
}
_REFUSED: Mapping[str, Any] = {
    **dict.fromkeys(_KEPT),
    "file_name": "../essay.txt",
    "status": "refused",
    "code": "INVALID_NAME",
    "message": "The path of an essay stays inside its folder. "
    "Rename the file and hand it in again.",
}
_UPLOAD: Mapping[str, Any] = {
    "upload_id": _UPLOAD_ID,
    "file_name": _KEPT["file_name"],
    "version": 1,
    "status": "assigned",
    "essay_id": "e001",
    "current": True,
    "bytes": 48,
    "sha256": _SHA256,
    "received_at": _KEPT["received_at"],
}
_DEAD_LETTER: Mapping[str, Any] = {
    "dead_letter_id": 1,
    "batch_id": _BATCH_ID,
    "slot": "e001",
    "generation": 0,
    "reason": "OSError",
    "attempts": 3,
    "correlation_id": _REGISTERED["correlation_id"],
    "created_at": "2026-11-22T09:01:00Z",
    "state": "open",
    "resolved_at": None,
}

FORM: Mapping[str, Any] = {"batch_id": _BATCH_ID, "files": ["The text of the first essay."]}
"""A form with files."""

EXAMPLES: Mapping[tuple[str, str], Any] = {
    ("register", "201"): _REGISTERED,
    ("batches", "200"): [_SUMMARY],
    ("batch", "200"): BATCH,
    ("close", "200"): BATCH,
    ("reopen", "200"): BATCH,
    ("waive", "200"): BATCH,
    ("essay", "200"): _ESSAY_VIEW,
    ("reprocess", "202"): _ESSAY,
    ("uploads", "200"): [_UPLOAD],
    ("files", "201"): {"batch_id": _BATCH_ID, "files": [_KEPT]},
    ("files", "207"): {"batch_id": _BATCH_ID, "files": [_KEPT, _REFUSED]},
    ("dead_letters", "200"): [_DEAD_LETTER],
    ("replay", "200"): _DEAD_LETTER,
    ("healthz", "200"): {"status": "ok"},
    ("readyz", "200"): {"status": "ok"},
}
"""By name of the operation and status."""

_TEXT_SCHEMA: Mapping[str, Any] = {"type": "string"}
_BYTES = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
DOWNLOADS: Mapping[str, Mapping[str, Any]] = {
    "raw": _BYTES,
    "uploaded": _BYTES,
    "text": {"text/plain; charset=utf-8": {"schema": _TEXT_SCHEMA, "example": _TEXT}},
    "corrected": {"text/plain; charset=utf-8": {"schema": _TEXT_SCHEMA, "example": _CORRECTED}},
    "report": {
        "application/json": {
            "schema": {"type": "object"},
            "example": {
                **{name: it for name, it in BATCH.items() if name != "waiting_since"},
                "missing_essays": [],
                "waivers": {},
                "misspellings_per_100_words": {"class": 9.1, "essays": {"e001": 9.1}},
                "commonest_misspellings": [
                    {**_MISSPELLING, "essays": 1, "by_essay": {"e001": 1}},
                ],
            },
        },
        "text/html; charset=utf-8": {"schema": _TEXT_SCHEMA},
    },
    "bag": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
}
"""What the routes of downloads answer, by the name of the operation."""
