"""Files of one request on their way in: each is kept or refused by itself.

A file that came whole is kept, so a request that breaks off loses only the file it broke off in;
sent again, what is kept already is unchanged. A request with an Idempotency-Key is set
aside first, since only its last byte tells whether it is the request that it says it is.
"""

import hashlib
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import starmap
from pathlib import Path
from typing import BinaryIO, Protocol

from anyio.to_thread import run_sync

from huleedu_dagster.domain.ids import InvalidIdError, essay_path, is_ignored_path
from huleedu_dagster.domain.keys import hash_of
from huleedu_dagster.domain.outcomes import Code, explain
from huleedu_dagster.intake.contracts import FileResult, FileStatus
from huleedu_dagster.intake.multipart import MultipartEvent, PartBegin, PartData
from huleedu_dagster.intake.problems import FieldError, ProblemCode, ProblemError
from huleedu_dagster.pipeline.intake import FileUpload, Receipt, Submission

BATCH_FIELD = "batch_id"
FILES_FIELD = "files"

_BUFFER_BYTES = 256 * 1024
_INVALID_NAME = "INVALID_NAME"


class Target(Protocol):
    """Where files go, one after the other. Every method blocks."""

    def begin(self, name: str) -> None:
        """A file begins; `name` is its relative path."""
        ...

    def write(self, data: bytes) -> None:
        """Its next bytes."""
        ...

    def end(self, *, too_large: bool) -> None:
        """It is there as a whole, or is larger than is taken."""
        ...

    def abandon(self) -> None:
        """Give back what a file that did not end holds; harmless if there is none."""
        ...


class IntakeTarget:
    """Hands files in to a batch.

    Args:
        submission: What they become part of.
    """

    def __init__(self, submission: Submission) -> None:
        self._submission = submission
        # `None` stands for a file that is kept; its receipt comes with others of its group.
        self._results: list[FileResult | None] = []
        self._names: list[str] = []
        self._stack = ExitStack()
        self._name = ""
        self._upload: FileUpload | None = None

    def begin(self, name: str) -> None:
        """See `Target.begin`; a file with an impossible name is refused here."""
        self._name = name
        try:
            path = essay_path(name)
        except InvalidIdError as error:
            text = str(error)
            message = f"{text[:1].upper()}{text[1:]}. Rename the file and hand it in again."
            self._tell(FileStatus.REFUSED, code=_INVALID_NAME, message=message)
            return
        if is_ignored_path(path):
            message = "Hidden files and litter of an operating system are left out."
            self._tell(FileStatus.IGNORED, message=message)
            return
        self._upload = self._stack.enter_context(self._submission.upload(path))

    def write(self, data: bytes) -> None:
        """See `Target.write`."""
        if self._upload is not None:
            self._upload.write(data)

    def end(self, *, too_large: bool) -> None:
        """See `Target.end`."""
        if self._upload is not None:
            if too_large:
                text = explain(Code.TOO_LARGE).text
                self._tell(FileStatus.REFUSED, code=Code.TOO_LARGE, message=text)
            else:
                self._upload.keep()
                self._names.append(self._name)
                self._results.append(None)
        self.abandon()

    def abandon(self) -> None:
        """See `Target.abandon`."""
        self._upload = None
        self._stack.close()

    def finish(self) -> list[FileResult]:
        """Record that the request handed in its last file; gives what became of each."""
        self._submission.finish()
        receipts = starmap(_result, zip(self._names, self._submission.receipts, strict=True))
        return [next(receipts) if it is None else it for it in self._results]

    def _tell(self, status: FileStatus, *, message: str, code: str | None = None) -> None:
        self._results.append(
            FileResult(file_name=self._name, status=status, code=code, message=message)
        )


def _result(name: str, receipt: Receipt) -> FileResult:
    return FileResult(
        file_name=name,
        status=FileStatus(receipt.status),
        upload_id=receipt.upload_id,
        sha256=receipt.sha256,
        bytes=receipt.size,
        received_at=receipt.received_at,
        essay_id=receipt.slot,
    )


@dataclass(frozen=True, slots=True)
class _Spooled:
    name: str
    path: Path
    sha256: str
    too_large: bool


class SpoolTarget:
    """Sets files aside until it is known whether they are to be handed in.

    Args:
        folder: Where; on a disk, not in memory.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = tempfile.TemporaryDirectory(dir=folder)
        self._files: list[_Spooled] = []
        self._stream: BinaryIO | None = None
        self._name = ""
        self._hash = hashlib.sha256()

    def begin(self, name: str) -> None:
        """See `Target.begin`."""
        self._name = name
        self._hash = hashlib.sha256()
        self._stream = self._path().open("wb")

    def write(self, data: bytes) -> None:
        """See `Target.write`."""
        if self._stream is not None:
            self._stream.write(data)
            self._hash.update(data)

    def end(self, *, too_large: bool) -> None:
        """See `Target.end`."""
        path = self._path()
        self.abandon()
        self._files.append(_Spooled(self._name, path, self._hash.hexdigest(), too_large))

    def abandon(self) -> None:
        """See `Target.abandon`."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def request_hash(self, batch_id: str) -> str:
        """What identifies the request: its batch, and names and hashes in order."""
        return hash_of([batch_id, [[it.name, it.sha256, it.too_large] for it in self._files]])

    def pour(self, target: Target) -> None:
        """Give all files to another target."""
        for file in self._files:
            target.begin(file.name)
            with file.path.open("rb") as stream:
                while data := stream.read(_BUFFER_BYTES):
                    target.write(data)
            target.end(too_large=file.too_large)

    def close(self) -> None:
        """Delete what was set aside."""
        self.abandon()
        self._folder.cleanup()

    def _path(self) -> Path:
        return Path(self._folder.name) / str(len(self._files))


def spool_folder(home: Path) -> Path:
    """Where requests of an installation are set aside."""
    return home / "spool"


class FormReader:
    """Reads the form of one request into a target; the work is done in threads.

    Args:
        find_target: Gives the target for a batch; called once, before the first file. Blocks.
    """

    def __init__(self, find_target: Callable[[str], Target]) -> None:
        self._find_target = find_target
        self._target: Target | None = None
        self._batch_id: str | None = None
        self._part: PartBegin | None = None
        self._pending = bytearray()
        self._is_file = False
        self._begun = False

    async def read(self, events: AsyncIterator[MultipartEvent]) -> None:
        """Read to the end of the form.

        Raises:
            ProblemError: A field is missing or comes too late.
            BadMultipartError: See `read_multipart`.
            OSError: The store failed; nothing is promised.
            sqlalchemy.exc.SQLAlchemyError: The ledger failed; nothing is promised.
        """
        try:
            async for event in events:
                if isinstance(event, PartBegin):
                    await self._begin(event)
                elif isinstance(event, PartData):
                    await self._data(event.data)
                else:
                    await self._end(too_large=event.too_large)
        finally:
            if self._target is not None:
                self._target.abandon()
        if self._target is None:
            raise _missing(FILES_FIELD, "The form holds no file.")

    async def _begin(self, part: PartBegin) -> None:
        self._part, self._is_file, self._begun = part, False, False
        self._pending.clear()
        # An input in which nothing was chosen is sent as a file without name and bytes.
        if part.filename:
            await self._expect_file()

    async def _expect_file(self) -> None:
        self._is_file = True
        if self._target is None:
            if self._batch_id is None:
                raise _missing(BATCH_FIELD, "The field comes before the first file.")
            self._target = await run_sync(self._find_target, self._batch_id)

    async def _data(self, data: bytes) -> None:
        if self._part is not None and self._part.filename is not None and not self._is_file:
            await self._expect_file()
        self._pending += data
        if self._is_file and len(self._pending) >= _BUFFER_BYTES:
            await run_sync(self._flush)

    async def _end(self, *, too_large: bool) -> None:
        if self._is_file:
            await run_sync(self._finish, too_large)
        elif self._part is not None and self._part.name == BATCH_FIELD:
            if self._target is not None or self._batch_id is not None:
                raise _missing(BATCH_FIELD, "The field comes once, before the first file.")
            self._batch_id = self._pending.decode("utf-8", "replace").strip()

    def _flush(self) -> None:
        assert self._target is not None
        assert self._part is not None
        if not self._begun:
            self._target.begin(self._part.filename or "")
            self._begun = True
        self._target.write(bytes(self._pending))
        self._pending.clear()

    def _finish(self, too_large: bool) -> None:
        self._flush()
        assert self._target is not None
        self._target.end(too_large=too_large)


def _missing(field: str, message: str) -> ProblemError:
    errors = (FieldError(where=f"body.{field}", message=message),)
    return ProblemError(ProblemCode.INVALID_REQUEST, errors=errors)
