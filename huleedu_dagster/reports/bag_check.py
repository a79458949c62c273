"""Checks a bag in a zip with the BagIt library's own checker."""

import logging
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class DamagedBagError(ValueError):
    """The file is no bag, or what is in it is not what was packed.

    Attributes:
        paths: Files of the bag that are damaged, missing or too many, if that is known.
    """

    def __init__(self, message: str, paths: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.paths = paths


def check_bag(file: Path) -> int:
    """Check every file of a bag against its manifests. It is unpacked for that and removed again.

    Returns:
        How many files its payload has.

    Raises:
        DamagedBagError: It is no whole bag.
        OSError: The file cannot be read, or there is no room to unpack it.
    """
    with tempfile.TemporaryDirectory(prefix="huleedu-bag-") as folder:
        try:
            with zipfile.ZipFile(file) as packed:
                _make_sure_of_room(packed, Path(folder))
                packed.extractall(folder)
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise DamagedBagError("the zip is damaged or not whole") from error
        except RuntimeError as error:
            # Also NotImplementedError, for a method of packing that is not known here.
            raise DamagedBagError("the zip is locked, or packed in a way not known here") from error
        roots = [it for it in Path(folder).iterdir() if (it / "bagit.txt").is_file()]
        if len(roots) != 1:
            raise DamagedBagError("this zip holds no bag")
        return _checked(roots[0])


def _make_sure_of_room(packed: zipfile.ZipFile, folder: Path) -> None:
    # No file becomes larger than the zip says it is: `zipfile` reads no further.
    needed = sum(it.file_size for it in packed.infolist())
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(
            f"the zip unpacks to {needed} bytes, and {free} are free; let TMPDIR name a larger disk"
        )


def _checked(folder: Path) -> int:
    import bagit

    with _silent(bagit.LOGGER):
        try:
            bag = bagit.Bag(str(folder))
            bag.validate()
        except bagit.BagValidationError as error:
            paths = tuple(sorted({it.path for it in error.details or ()}))
            raise DamagedBagError("the bag is not as it was packed", paths) from error
        except OSError:
            raise
        except Exception as error:
            # Tag files that are not in its form make the library fail in many ways.
            raise DamagedBagError("the tag files of the bag cannot be read") from error
    return len(bag.payload_entries())


@contextmanager
def _silent(logger: logging.Logger) -> Iterator[None]:
    """Keep the library from logging the names of files, which are of essays."""
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before
