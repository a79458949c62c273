"""Make the sample class: nine essays in the formats students use, and three files that are wrong.

The essays are written by hand in `sample_texts/`; a blank line parts paragraphs, other line ends
there are only for reading. Running this again writes the same bytes.

    python scripts/make_samples.py [folder]
"""

import io
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    # The document builders live with the tests, which are not installed.
    sys.path.insert(0, str(ROOT))

from tests.factory.documents import (  # noqa: E402
    docx_bytes,
    odt_bytes,
    pdf_bytes,
    rtf_bytes,
    txt_bytes,
)

TEXTS = ROOT / "scripts" / "sample_texts"
SAMPLES = ROOT / "samples"
Builder = Callable[[Sequence[str]], bytes]


def paragraphs(student: str) -> list[str]:
    """Return the paragraphs of a student's essay, each as one line.

    Raises:
        FileNotFoundError: No such essay in `sample_texts/`.
    """
    text = (TEXTS / f"{student}.txt").read_text(encoding="utf-8")
    return [" ".join(block.split()) for block in text.split("\n\n")]


def stored(archive: bytes) -> bytes:
    """Rewrite a zip file without compression.

    Compressed bytes differ between builds of zlib; the samples have to be the same everywhere.
    """
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as source, zipfile.ZipFile(out, "w") as target:
        for member in source.infolist():
            info = zipfile.ZipInfo(member.filename, date_time=(1980, 1, 1, 0, 0, 0))
            info.create_system = 3
            target.writestr(info, source.read(member))
    return out.getvalue()


def docx(texts: Sequence[str]) -> bytes:
    """Build a docx that is the same under every zlib."""
    return stored(docx_bytes(texts))


def odt(texts: Sequence[str]) -> bytes:
    """Build an odt that is the same under every zlib."""
    return stored(odt_bytes(texts))


def txt(encoding: str) -> Builder:
    """Return a builder of text files in `encoding`."""
    return lambda texts: txt_bytes(texts, encoding=encoding)


def utf16(texts: Sequence[str]) -> bytes:
    """Build a text file in UTF-16, little-endian with its mark on every machine."""
    return "\ufeff".encode("utf-16-le") + txt_bytes(texts, encoding="utf-16-le")


def truncated_docx(texts: Sequence[str]) -> bytes:
    """Build a docx of which only the first 60 % arrived."""
    whole = docx(texts)
    return whole[: len(whole) * 60 // 100]


def program() -> bytes:
    """Build the head of a Windows program: signatures and sizes, no code that could run."""
    dos_header = b"MZ".ljust(60, b"\0") + (128).to_bytes(4, "little")
    dos_stub = b"This is a sample, not a program.\r\n$".ljust(64, b"\0")
    machine, sections = (0x8664).to_bytes(2, "little"), (0).to_bytes(2, "little")
    pe_header = b"PE\0\0" + machine + sections + bytes(16)
    return (dos_header + dos_stub + pe_header).ljust(512, b"\0")


GOOD: dict[str, tuple[str, Builder]] = {
    "01-anna-lindqvist.docx": ("anna-lindqvist", docx),
    "02-bilal-haddad.odt": ("bilal-haddad", odt),
    "04-david-nystrom.pdf": ("david-nystrom", pdf_bytes),
    "05-elin-bergman.txt": ("elin-bergman", txt("utf-8")),
    "07-greta-holm.txt": ("greta-holm", txt("latin-1")),
    "08-hugo-sandberg.rtf": ("hugo-sandberg", rtf_bytes),
    "09-ida-wallin.docx": ("ida-wallin", docx),
    "11-klara-sjoberg.txt": ("klara-sjoberg", utf16),
    "12-leo-martinsson.docx": ("leo-martinsson", docx),
}
"""File name to the essay in it and how the file is built."""

BAD: dict[str, Callable[[], bytes]] = {
    "03-cecilia-strand.txt": bytes,
    "06-fredrik-aberg.docx": lambda: truncated_docx(paragraphs("fredrik-aberg")),
    "10-johan-ek.docx": program,
}
"""File name to what builds it: an empty file, a truncated one, a program called docx."""


def sample_class() -> dict[str, bytes]:
    """Return every file of the sample class by name, sorted."""
    good = {name: build(paragraphs(student)) for name, (student, build) in GOOD.items()}
    return dict(sorted((good | {name: build() for name, build in BAD.items()}).items()))


def main(folder: Path = SAMPLES) -> None:
    """Write the sample class into `folder`, which is made when it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in sample_class().items():
        (folder / name).write_bytes(content)


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:2]))
