"""RTF: a linear filter takes out what must not be read, then striprtf makes text of the rest."""

import codecs
import re
from dataclasses import dataclass, replace

from striprtf.striprtf import rtf_to_text

from huleedu_dagster.domain.outcomes import Code, Warn
from huleedu_dagster.extraction.errors import ExtractionError
from huleedu_dagster.extraction.limits import ExtractionLimits
from huleedu_dagster.extraction.sink import Reading, TextSink

_TOKEN = re.compile(
    r"\\([a-zA-Z]{1,32})(-?\d{1,10})?( ?)|\\'([0-9a-fA-F]{2})|\\(.)|([{}])|([^\\{}]+)", re.S
)
_SKIPPED = frozenset(
    str.split(
        "annotation atnauthor atnid atrfend atrfstart bkmkend bkmkstart colortbl datafield filetbl "
        "fldinst fonttbl footer footerf footerl footerr ftncn ftnsep ftnsepc header headerf "
        "headerl headerr info listoverridetable listtable nonshppict objdata pict pntext revtbl "
        "rsidtbl shprslt stylesheet tc themedata xe"
    )
)
_DELETING = frozenset({"deleted", "mvf"})
_INSERTING = frozenset({"revised", "mvt"})
# Two line ends part paragraphs for the library, one is a line break within a paragraph.
_PARAGRAPH = "\\par\\par "
_PARAGRAPH_WORDS = frozenset({"par", "cell", "nestcell", "row", "nestrow", "sect", "page"})
_TEXT_WORDS = frozenset(
    str.split(
        "line tab emdash endash emspace enspace qmspace bullet lquote rquote ldblquote rdblquote u"
    )
)
_DEFAULT_NUMBERS = {"f": "0", "uc": "1"}
# Charsets of old Macintosh fonts for which Python has no encoding.
_UNKNOWN_CHARSETS = frozenset({78, 79, 80, 82, 85, 86, 87, 88, 89})
_HEADER_ENCODINGS = (("\\mac", "mac_roman"), ("\\pca", "cp850"), ("\\pc", "cp437"))
_HEADER_REACH = 200


def read(data: bytes, limits: ExtractionLimits) -> Reading:
    """Read an RTF document; text boxes and notes follow the body.

    Raises:
        ExtractionError: CORRUPTED_FILE (a group is not closed) or TOO_LARGE.
    """
    rtf_filter = _Filter(limits)
    rtf_filter.run(data.removeprefix(codecs.BOM_UTF8).decode("latin-1").lstrip())
    head = data[:_HEADER_REACH].decode("latin-1")
    encoding = next((name for word, name in _HEADER_ENCODINGS if word in head), "cp1252")
    text: str = rtf_to_text(  # type: ignore[no-untyped-call]
        rtf_filter.result(), encoding=encoding, errors="replace"
    )
    # The library writes characters beyond the first plane as two halves.
    text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    sink = TextSink(limits)
    sink.warnings |= rtf_filter.warnings
    for paragraph in text.split("\n\n"):
        sink.write(paragraph)
        sink.end_paragraph()
    return sink.reading()


@dataclass(frozen=True, slots=True)
class _State:
    """What holds until the group ends."""

    deleted: bool = False
    hidden: bool = False
    skipped: bool = False
    out: int = 0
    star: bool = False


class _Filter:
    """One pass over the tokens; sends the body and each note or text box to its own stream."""

    def __init__(self, limits: ExtractionLimits) -> None:
        self._limits = limits
        self._left = limits.max_rtf_tokens
        self._font = ""
        self._charsets: dict[str, str] = {}
        self._state = _State()
        self._stack: list[_State] = []
        self._outs: list[list[str]] = [[]]
        self._notes: list[int] = []
        self._boxes: list[int] = []
        self.warnings: set[Warn] = set()

    def run(self, source: str) -> None:
        at, length = 0, len(source)
        while at < length:
            token = _TOKEN.match(source, at)
            if token is None:
                break
            at = token.end()
            self._left -= 1
            if self._left < 0:
                raise ExtractionError(Code.TOO_LARGE, "too many control words")
            word, number, _, hexa, sign, brace, text = token.groups()
            if word == "bin":
                at += max(0, int(number or 0))
            elif word is not None:
                self._word(word, number)
            elif brace is not None:
                self._brace(brace)
                if not self._stack:
                    return
            else:
                self._text(hexa, sign, text)
        raise ExtractionError(Code.CORRUPTED_FILE, "an RTF group is not closed")

    def result(self) -> str:
        # The library's search of the font table takes more than quadratic time, so it gets one in
        # which every entry is found at once, with the first group's own brace before it.
        fonts = "".join(f"\\f{n}\\fcharset{c} n;" for n, c in self._charsets.items())
        body = f"{{{{\\fonttbl {fonts}}}{''.join(self._outs[0]).removeprefix('{')}"
        tail = (f"{_PARAGRAPH}{''.join(self._outs[i])}" for i in self._boxes + self._notes)
        return f"{body.removesuffix('}')}{''.join(tail)}}}"

    def _brace(self, brace: str) -> None:
        if brace == "{":
            self._emit(brace)
            self._stack.append(self._state)
            if len(self._stack) > self._limits.max_markup_depth:
                raise ExtractionError(Code.TOO_LARGE, "nested too deeply")
            self._state = replace(self._state, star=False)
        elif self._stack:
            inner, self._state = self._state, self._stack.pop()
            if inner.out != self._state.out:
                self._outs[inner.out].append("}")
            self._emit(brace)

    def _word(self, word: str, number: str | None) -> None:
        on = number != "0"
        # What follows is not always what followed in the file, so the space that ends the word is
        # always written.
        raw = f"\\{word}{number or _DEFAULT_NUMBERS.get(word, '')} "
        if number is not None and number.isdigit():
            self._note_font(word, number)
        if word in ("footnote", "shptxt") and not self._state.skipped:
            self._divert(self._notes if word == "footnote" else self._boxes)
        elif word in _SKIPPED:
            self._state = replace(self._state, skipped=True)
        elif word in _DELETING:
            self._state = replace(self._state, deleted=on)
        elif word == "v":
            self._state = replace(self._state, hidden=on)
        elif word == "plain":
            self._state = replace(self._state, deleted=False, hidden=False)
            self._emit(raw)
        else:
            self._other_word(word, raw, on)

    def _other_word(self, word: str, raw: str, on: bool) -> None:
        if word in _INSERTING and on and not self._state.skipped:
            self.warnings.add(Warn.TRACKED_CHANGES_RESOLVED)
        if word in _PARAGRAPH_WORDS:
            self._visible(_PARAGRAPH, telling=False)
        elif word in _TEXT_WORDS:
            self._visible(raw, telling=word == "u")
        elif not word.startswith("bin"):
            # Beside a picture the library takes every such word for binary data.
            self._emit(raw)

    def _note_font(self, word: str, number: str) -> None:
        if word == "f":
            self._font = number
        elif word == "fcharset" and int(number) not in _UNKNOWN_CHARSETS:
            self._charsets.setdefault(self._font, number)

    def _divert(self, kind: list[int]) -> None:
        self._outs.append(["{"])
        kind.append(len(self._outs) - 1)
        self._state = replace(self._state, out=len(self._outs) - 1, star=False)

    def _text(self, hexa: str | None, sign: str | None, text: str | None) -> None:
        if hexa is not None:
            self._visible(f"\\'{hexa}", telling=True)
        elif sign is not None:
            self._sign(sign)
        elif text is not None and not self._state.skipped:
            # Bytes above ASCII are against the format but common; written as it wants them, the
            # library decodes them in the font's encoding.
            plain = "".join(c if c < "\x80" else f"\\'{ord(c):02x}" for c in text)
            self._visible(plain.replace("\r", "").replace("\n", ""), telling=bool(text.strip()))

    def _sign(self, sign: str) -> None:
        if sign == "*":
            self._state = replace(self._state, star=True)
            self._emit("\\*")
        elif sign == "\\":
            # Written so, it cannot make the library take the text after it for a control word.
            self._visible("\\'5c", telling=True)
        elif sign in "\r\n":
            self._visible(_PARAGRAPH, telling=False)
        elif sign == "_":
            self._visible("-", telling=False)
        else:
            self._visible(f"\\{sign}", telling=sign in "{}")

    def _visible(self, text: str, *, telling: bool) -> None:
        """Pass on what a reader would see, unless it is deleted or hidden."""
        if self._state.deleted or self._state.hidden:
            if telling and not (self._state.skipped or self._state.star):
                deleted = self._state.deleted
                self.warnings.add(
                    Warn.TRACKED_CHANGES_RESOLVED if deleted else Warn.HIDDEN_TEXT_PRESENT
                )
            return
        self._emit(text)

    def _emit(self, text: str) -> None:
        if not self._state.skipped or text in "{}":
            self._outs[self._state.out].append(text)
