"""Good essays as plain text, Markdown, HTML and RTF, in the forms that schools hand in."""

import unicodedata
from collections.abc import Callable

from huleedu_dagster.domain.outcomes import Warn
from tests.factory import documents
from tests.factory.case import Case, essay, joined

_TRACKED = (Warn.TRACKED_CHANGES_RESOLVED,)
_HIDDEN = (Warn.HIDDEN_TEXT_PRESENT,)
_QUOTES = "She said: “Nobody’s ship is like Åke’s” – and smiled."
_RUSSIAN = "Жила-была девочка, и звали её Маша. Она жила в большом городе у самого моря. " * 4


def text_cases() -> list[Case]:
    """The cases of this module."""
    return [*_plain(), *_plain_forms(), *_markdown(), *_html(), *_rtf()]


def _plain() -> list[Case]:
    """One essay in each encoding a school has."""
    encodings = {
        "utf-8": b"",
        "utf-8-sig": b"",
        "utf-16-le": b"\xff\xfe",
        "utf-16-be": b"\xfe\xff",
        "utf-32-le": b"\xff\xfe\0\0",
        "cp1252": b"",
        "latin-1": b"",
        "mac_roman": b"",
        "cp850": b"",
    }
    cases = []
    for encoding, mark in encodings.items():
        words = essay(encoding)
        cases.append(Case(f"txt/{encoding}.txt", _encoded(words, encoding, mark), joined(words)))
    for encoding in ("utf-16-le", "utf-16-be"):
        words = essay(f"{encoding} without a mark")
        path = f"txt/{encoding} without a mark.txt"
        cases.append(Case(path, _encoded(words, encoding), joined(words)))
    return cases


def _encoded(words: list[str], encoding: str, mark: bytes = b"") -> Callable[[], bytes]:
    return lambda: mark + documents.txt_bytes(words, encoding)


def _plain_forms() -> list[Case]:
    lines = essay("lines")
    no_suffix, apart = essay("no suffix"), essay("letters in parts")
    invisible = (
        "A soft\u00ad hy\u00adphen, a \ufeffzero\u200b width, an e\ufb03cient office, a bell\x07 "
        "that rings every morning on the old ship in the harbour of the town."
    )
    return [
        Case("txt/quotes.txt", lambda: _QUOTES.encode("cp1252"), _QUOTES),
        Case("txt/russian.txt", lambda: _RUSSIAN.encode("cp1251"), _RUSSIAN.strip()),
        Case(
            "txt/windows lines.txt",
            lambda: "\r\n\r\n".join(lines).encode() + b"\r\n\x1a",
            joined(lines),
        ),
        Case("txt/old mac lines.txt", lambda: "\r\r".join(lines).encode(), joined(lines)),
        Case("txt/no suffix", lambda: joined(no_suffix).encode(), joined(no_suffix)),
        Case(
            "txt/letters in parts.txt",
            lambda: unicodedata.normalize("NFD", joined(apart)).encode(),
            joined(apart),
        ),
        Case(
            "txt/invisible.txt",
            invisible.encode,
            "A soft hyphen, a zero width, an efficient office, a bell "
            "that rings every morning on the old ship in the harbour of the town.",
        ),
        Case(
            "txt/begins like a program.txt",
            lambda: b"MZ are two letters, and BM are two others.",
            "MZ are two letters, and BM are two others.",
        ),
    ]


def _markdown() -> list[Case]:
    plain, formatted = essay("markdown"), essay("markdown with marks", 2)
    source = (
        "---\ntitle: Secret title\nauthor: Somebody\n---\n# A *day* out\n\n"
        f"{formatted[0]}\n\n- one [link](https://example.org/secret)\n- two\n\n> {formatted[1]}\n\n"
        "A <b>bo</b>ld end  \nwith a break.\n"
    )
    text = joined(
        ["A day out", formatted[0], "one link", "two", formatted[1], "A bold end\nwith a break."]
    )
    return [
        Case("md/plain.md", lambda: documents.md_bytes(plain), joined(plain)),
        Case("md/marks.markdown", lambda: source.encode(), text),
    ]


def _html() -> list[Case]:
    plain, latin = essay("html"), essay("html in windows")
    saved, inline, hidden = essay("html saved as doc"), essay("html inline", 1), essay("dim", 1)
    head = "<html><head><meta http-equiv=Content-Type content='text/html; charset=windows-1252'>"
    page = f"{head}</head><body>{''.join(f'<div>{it}</div>' for it in latin)}</body></html>"
    split = "<b>".join(inline[0].replace("ship", "sh<i>i</i>p").split(" ", 1))
    script = f"<body><script>var secret;</script><style>p{{}}</style><p>{split}</b>\n<p>a<br>b"
    dim = f"<p>{hidden[0]}</p><p style='display:none'>secret</p><p hidden>secret</p>"
    return [
        Case("html/plain.html", lambda: documents.html_bytes(plain), joined(plain)),
        Case("html/windows.htm", lambda: page.encode("cp1252"), joined(latin)),
        Case("html/saved as.doc", lambda: documents.html_bytes(saved), joined(saved)),
        Case(
            "html/inline.html",
            lambda: script.encode(),
            # The space was replaced by the tag.
            joined([inline[0].replace(" ", "", 1), "a\nb"]),
        ),
        Case("html/hidden.html", lambda: dim.encode(), hidden[0], warnings=_HIDDEN),
    ]


def _rtf() -> list[Case]:
    plain, named, kept = essay("rtf"), essay("rtf as doc"), essay("rtf deleted", 1)
    noted, hidden = essay("rtf note", 2), essay("rtf hidden", 1)

    def rtf(body: str) -> bytes:
        return f"{{\\rtf1\\ansi\\ansicpg1252\\deff0 {body}}}".encode("cp1252")

    deleted = rf"{kept[0]}{{\deleted\revauthdel1  secret}}{{\revised  and more}}\par"
    note = (
        rf"{noted[0]}{{\super\chftn}}{{\footnote\pard {{\super\chftn}} The note.}}\par {noted[1]}"
    )
    field = r'{\header secret}{\field{\*\fldinst{HYPERLINK "secret"}}{\fldrslt a link}} and '
    return [
        Case("rtf/plain.rtf", lambda: documents.rtf_bytes(plain), joined(plain)),
        Case("rtf/named.doc", lambda: documents.rtf_bytes(named), joined(named)),
        Case("rtf/deleted.rtf", lambda: rtf(deleted), f"{kept[0]} and more", warnings=_TRACKED),
        Case("rtf/note.rtf", lambda: rtf(note), joined([*noted, "The note."])),
        Case("rtf/field.rtf", lambda: rtf(f"{field}{plain[0]}"), f"a link and {plain[0]}"),
        Case(
            "rtf/hidden.rtf",
            lambda: rtf(rf"{hidden[0]}{{\v secret}} \'e5\u228?{{\uc2\u246 xx}}\emdash"),
            f"{hidden[0]} åäö—",
            warnings=_HIDDEN,
        ),
    ]
