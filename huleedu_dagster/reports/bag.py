"""A batch as a BagIt bag (RFC 8493) in a zip, made piece by piece: for archives.

Written here and not by the library, which works in place on an unpacked folder and changes the
working directory of the process; it checks what is written here (`bag_check`).
"""

import hashlib
import zipfile
from collections.abc import Iterator
from datetime import date
from importlib.metadata import version

from huleedu_dagster.reports.bag_content import BagContent

_DISTRIBUTION = "huleedu-dagster"
_DECLARATION = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
_DESCRIPTION = "Essays of one batch as handed in, with texts, spelling results, events and reports"


class _Pipe:
    """What a zip is written to, and taken from in pieces; it cannot be sought in."""

    def __init__(self) -> None:
        self._waiting: list[bytes] = []

    def write(self, data: bytes) -> int:
        """Take bytes."""
        self._waiting.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing: what was written is there."""

    def close(self) -> None:
        """Nothing, too."""

    def taken(self) -> Iterator[bytes]:
        """What was written since the last time."""
        if self._waiting:
            yield b"".join(self._waiting)
            self._waiting.clear()


def bag_pieces(content: BagContent, made_on: date) -> Iterator[bytes]:
    """The zip of a bag, piece by piece; no file is held in memory but texts, one at a time.

    The same content bagged on the same day is the same bytes. No name of a person is in the tag
    files, but for those that paths of essays hold.

    Args:
        content: What is in it.
        made_on: The day that the bag says it was made on, in UTC.

    Raises:
        BlobStoreError: Something is missing in the store or damaged; what was given before is no
            whole zip.
        OSError: The store cannot be reached; the same holds.
    """
    pipe = _Pipe()
    manifest: list[str] = []
    size = 0
    with zipfile.ZipFile(pipe, "w") as packed:
        for entry in content.entries():
            digest = hashlib.sha256()
            path = f"data/{entry.path}"
            info = _info(content.batch_id, path, entry.size)
            with packed.open(info, "w") as member:
                for piece in entry.pieces:
                    digest.update(piece)
                    size += len(piece)
                    member.write(piece)
                    yield from pipe.taken()
            manifest.append(f"{digest.hexdigest()}  {path}\n")
        tags = {
            "bagit.txt": _DECLARATION,
            "bag-info.txt": _info_of_bag(content, made_on, f"{size}.{len(manifest)}"),
            "manifest-sha256.txt": "".join(manifest),
        }
        hashes = (f"{_sha256(text)}  {name}\n" for name, text in tags.items())
        for name, text in {**tags, "tagmanifest-sha256.txt": "".join(hashes)}.items():
            data = text.encode()
            packed.writestr(_info(content.batch_id, name, len(data)), data)
            yield from pipe.taken()
    yield from pipe.taken()


def _info(folder: str, path: str, size: int) -> zipfile.ZipInfo:
    # The moment is left at the first that a zip knows: it is of no use here.
    info = zipfile.ZipInfo(f"{folder}/{path}")
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    info.file_size = size
    return info


def _info_of_bag(content: BagContent, made_on: date, oxum: str) -> str:
    values = {
        "Bag-Software-Agent": f"{_DISTRIBUTION} {version(_DISTRIBUTION)}",
        "Bagging-Date": made_on.isoformat(),
        "External-Identifier": content.batch_id,
        "External-Description": _DESCRIPTION,
        "Batch-Status": content.status.value,
        "Payload-Oxum": oxum,
    }
    return "".join(f"{name}: {value}\n" for name, value in values.items())


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
