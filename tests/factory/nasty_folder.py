"""Documents good and nasty, and what must become of each: a table, and folders of them.

The codes follow the error taxonomy. They were decided from a teacher's view of the file, not from
what a reader gives.
"""

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from tests.factory.attacks import attack_cases
from tests.factory.bad_files import bad_cases
from tests.factory.case import Case
from tests.factory.good_office import office_cases
from tests.factory.good_pdfs import pdf_cases
from tests.factory.good_texts import text_cases


@cache
def good() -> tuple[Case, ...]:
    """Documents that must be accepted with their exact text, in every format."""
    return (*text_cases(), *office_cases(), *pdf_cases())


@cache
def bad() -> tuple[Case, ...]:
    """Documents that must be rejected with their code."""
    return (*bad_cases(), *attack_cases())


def by_path(path: str) -> Case:
    """The case of a path.

    Raises:
        StopIteration: There is none.
    """
    return next(it for it in (*good(), *bad()) if it.path == path)


def one_of_each() -> tuple[Case, ...]:
    """Twenty good documents, of every format."""
    folders = ("txt", "md", "html", "rtf", "docx", "odt", "pdf")
    by_folder = {name: [it for it in good() if it.path.startswith(f"{name}/")] for name in folders}
    found = [it for name in folders for it in by_folder[name][:3]]
    return tuple(found[:20])


def classes() -> tuple[tuple[Case, ...], ...]:
    """All documents, good and bad mixed, in two halves: one batch holds at most 99."""
    cases = (*good(), *bad())
    return cases[::2], cases[1::2]


def write_folder(folder: Path, cases: Iterable[Case]) -> None:
    """Write documents below a folder."""
    for case in cases:
        target = folder / case.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(case.build())
