"""A zip archive whose members are read with caps: no member costs more than the limits say."""

import io
import posixpath
import struct
import zipfile
import zlib

from huleedu_dagster.domain.outcomes import Code
from huleedu_dagster.extraction.errors import ExtractionError
from huleedu_dagster.extraction.limits import ExtractionLimits

_END_RECORD = b"PK\x05\x06"
_END_RECORD_REACH = 22 + 65_535
_ENTRY = b"PK\x01\x02"
_DIRECTORY_BYTES_PER_MEMBER = 1_024
# Both office formats allow these two only, and only of these a part can be unpacked with a cap.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED_FLAG = 0x1


class Archive:
    """The members of a zip file, by name without regard to case or kind of slash."""

    def __init__(self, data: bytes, limits: ExtractionLimits) -> None:
        """Read the directory of the archive.

        Raises:
            ExtractionError: CORRUPTED_FILE or TOO_LARGE.
        """
        _check_directory(data, limits)
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
            raise ExtractionError(Code.CORRUPTED_FILE, "the zip directory is damaged") from error
        self._limits = limits
        self._left = limits.max_total_bytes
        members = self._zip.infolist()
        if len(members) > limits.max_zip_members:
            raise ExtractionError(Code.TOO_LARGE, "too many members in the archive")
        self._members = {_key(info.filename): info for info in members}

    def __contains__(self, name: str) -> bool:
        """Whether there is a member of that name."""
        return _key(name) in self._members

    def read(self, name: str) -> bytes:
        """Unpack one member.

        Args:
            name: Its path in the archive.

        Returns:
            Its content, never more than `max_part_bytes`.

        Raises:
            ExtractionError: CORRUPTED_FILE, PASSWORD_PROTECTED or TOO_LARGE.
        """
        info = self._members.get(_key(name))
        if info is None:
            raise ExtractionError(Code.CORRUPTED_FILE, "a part of the archive is missing")
        if info.flag_bits & _ENCRYPTED_FLAG:
            raise ExtractionError(Code.PASSWORD_PROTECTED, "the zip members are encrypted")
        if info.compress_type not in _METHODS:
            raise ExtractionError(Code.CORRUPTED_FILE, "a zip member is packed in a strange way")
        self._check_declared(info)
        # The declared size may lie, so the read itself is capped too.
        cap = min(self._limits.max_part_bytes, self._left)
        try:
            with self._zip.open(info) as member:
                content = member.read(cap + 1)
                complete = len(content) > cap or not member.read(1)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
            raise ExtractionError(Code.CORRUPTED_FILE, "a zip member is damaged") from error
        except (NotImplementedError, RuntimeError) as error:
            raise ExtractionError(Code.CORRUPTED_FILE, "a zip member cannot be read") from error
        if len(content) > cap or not complete:
            raise ExtractionError(Code.TOO_LARGE, "the archive unpacks to more than the limit")
        self._left -= len(content)
        return content

    def _check_declared(self, info: zipfile.ZipInfo) -> None:
        limits = self._limits
        too_much = info.file_size > min(limits.max_part_bytes, self._left)
        ratio = info.file_size / max(info.compress_size, 1)
        bomb = info.file_size > limits.ratio_floor_bytes and ratio > limits.max_part_ratio
        if too_much or bomb:
            raise ExtractionError(Code.TOO_LARGE, "the archive unpacks to more than the limit")


def resolve(base: str, target: str) -> str:
    """The member name that `target`, written in the part `base`, points to."""
    if target.startswith("/"):
        return posixpath.normpath(target).lstrip("/")
    return posixpath.normpath(posixpath.join(posixpath.dirname(base), target))


def _key(name: str) -> str:
    return name.replace("\\", "/").lstrip("/").lower()


def _check_directory(data: bytes, limits: ExtractionLimits) -> None:
    """Refuse a huge directory before the standard library builds an object for each entry."""
    at = data.rfind(_END_RECORD, max(0, len(data) - _END_RECORD_REACH))
    if at < 0 or len(data) < at + 22:
        raise ExtractionError(Code.CORRUPTED_FILE, "the zip directory is missing")
    count, size = struct.unpack_from("<HI", data, at + 10)
    # The record may lie, or leave the numbers to a longer one before it; the entries cannot.
    too_many = max(count, data.count(_ENTRY)) > limits.max_zip_members
    if too_many or size > limits.max_zip_members * _DIRECTORY_BYTES_PER_MEMBER:
        raise ExtractionError(Code.TOO_LARGE, "too many members in the archive")
