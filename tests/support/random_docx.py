"""Word documents made at random from a seed, of the parts that real ones are made of."""

import random
from collections.abc import Callable
from html import escape

from tests.factory.documents import docx_bytes, docx_notes_part

_TEXT = (
    "älven skog och en pojke gick vilse till snön hem Anna-Lisa d’accord café cafe\u0301 naïve "
    "Ö 3,5 km ”ja” (nej) slut. jag! SMÅ & <ej> 日本 ελπίδα"
)
_WORDS = tuple(_TEXT.split())
_SYMBOLS = (("Symbol", "F061"), ("Symbol", "F0B3"), ("Wingdings", "F04A"), ("Wingdings", "F0FC"))
_BREAKS = ("<w:br/>", '<w:br w:type="page"/>', '<w:br w:type="textWrapping" w:clear="all"/>')
_MARKS = (
    '<w:bookmarkStart w:id="7" w:name="m"/><w:bookmarkEnd w:id="7"/>',
    '<w:proofErr w:type="spellStart"/>',
    '<w:commentRangeStart w:id="1"/>',
    '<w:commentRangeEnd w:id="1"/><w:r><w:commentReference w:id="1"/></w:r>',
    "<w:r><w:lastRenderedPageBreak/></w:r>",
    '<w:moveFromRangeStart w:id="3" w:name="f"/>',
    "<w:r><w:softHyphen/></w:r>",
    "<w:r><w:noBreakHyphen/></w:r>",
    "<w:r><w:tab/></w:r>",
)
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"


class RandomDocx:
    """One document; the same seed makes the same bytes."""

    def __init__(self, seed: int) -> None:
        """Start with no content."""
        self._random = random.Random(seed)
        self._notes: dict[str, list[str]] = {"footnote": [], "endnote": []}

    def file(self) -> bytes:
        """The bytes of the document, of one to six blocks."""
        body = self._blocks(self._random.randint(1, 6), 0)
        kinds = [kind for kind, notes in self._notes.items() if notes]
        parts = {f"word/{kind}s.xml": self._notes_part(kind) for kind in kinds}
        links = "".join(
            f'<Relationship Id="{kind}" Type="{_RELATIONS}/{kind}s" Target="{kind}s.xml"/>'
            for kind in kinds
        )
        rels = f'<Relationships xmlns="{_PACKAGE}">{links}</Relationships>'
        parts["word/_rels/document.xml.rels"] = rels.encode()
        return docx_bytes([], body_xml=body, extra_parts=parts)

    def _notes_part(self, kind: str) -> bytes:
        # In the part, notes stand in another order than in the text.
        notes = [
            f'<w:{kind} w:id="{at}">{note}</w:{kind}>' for at, note in enumerate(self._notes[kind])
        ]
        self._random.shuffle(notes)
        return docx_notes_part(f"{kind}s", "".join(notes))

    def _blocks(self, count: int, depth: int) -> str:
        makers: list[Callable[[int], str]] = [self._paragraph] * 6 + [self._joined_paragraphs]
        if depth < 2:
            makers += [self._table, self._content_control]
        return "".join(self._random.choice(makers)(depth) for _ in range(count))

    def _paragraph(self, depth: int, properties: str = "") -> str:
        style = self._random.choice(("", '<w:pStyle w:val="Rubrik"/>', "<w:numPr/>"))
        inline = self._inlines(self._random.randint(0, 7), depth)
        return f"<w:p><w:pPr>{style}{properties}</w:pPr>{inline}</w:p>"

    def _joined_paragraphs(self, depth: int) -> str:
        deleted = "<w:rPr><w:del/></w:rPr>"
        return self._paragraph(depth, deleted) + self._paragraph(depth)

    def _table(self, depth: int) -> str:
        rows = "".join(self._row(depth) for _ in range(self._random.randint(1, 3)))
        return f"<w:tbl><w:tblPr/><w:tblGrid/>{rows}</w:tbl>"

    def _row(self, depth: int) -> str:
        deleted = "<w:trPr><w:del/></w:trPr>" if self._random.random() < 0.2 else ""
        cells = "".join(
            f"<w:tc><w:tcPr/>{self._blocks(1, depth + 1)}{self._paragraph(depth + 1)}</w:tc>"
            for _ in range(self._random.randint(1, 2))
        )
        return f"<w:tr>{deleted}{cells}</w:tr>"

    def _content_control(self, depth: int) -> str:
        name = self._random.choice(("sdt", "customXml"))
        inner = self._blocks(self._random.randint(1, 2), depth + 1)
        if name == "sdt":
            inner = f"<w:sdtPr><w:alias w:val='x'/></w:sdtPr><w:sdtContent>{inner}</w:sdtContent>"
        return f"<w:{name}>{inner}</w:{name}>"

    def _inlines(self, count: int, depth: int) -> str:
        makers: list[Callable[[int], str]] = [self._mark, self._mark]
        makers += [self._split_words for _ in range(6)]
        makers += [self._break, self._symbol, self._deleted, self._note]
        if depth < 3:
            makers += [self._wrapped, self._wrapped, self._field, self._text_box, self._emoji]
        return "".join(self._random.choice(makers)(depth) for _ in range(count))

    def _split_words(self, _: int) -> str:
        """A few words in runs that begin and end wherever it happens."""
        rng = self._random
        text = " ".join(rng.choices(_WORDS, k=rng.randint(1, 5)))
        text = rng.choice(("", " ")) + text + rng.choice(("", " "))
        cuts = sorted(rng.sample(range(len(text) + 1), k=min(2, len(text))))
        pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        return "".join(map(self._run, pieces))

    def _run(self, text: str) -> str:
        look = self._random.choice(("", "<w:rPr><w:b/></w:rPr>", "<w:rPr><w:webHidden/></w:rPr>"))
        return f'<w:r>{look}<w:t xml:space="preserve">{escape(text)}</w:t></w:r>'

    def _mark(self, _: int) -> str:
        return self._random.choice(_MARKS)

    def _break(self, _: int) -> str:
        return f"<w:r>{self._random.choice(_BREAKS)}</w:r>"

    def _symbol(self, _: int) -> str:
        font, code = self._random.choice(_SYMBOLS)
        return f'<w:r><w:sym w:font="{font}" w:char="{code}"/></w:r>'

    def _emoji(self, _: int) -> str:
        extension = "http://schemas.microsoft.com/office/word/2015/wordml/symex"
        choice = f'<w16se:symEx xmlns:w16se="{extension}" w16se:char="1F600"/>'
        return (
            f'<w:r><mc:AlternateContent><mc:Choice Requires="w16se">{choice}</mc:Choice>'
            "<mc:Fallback><w:t>😀</w:t></mc:Fallback></mc:AlternateContent></w:r>"
        )

    def _deleted(self, depth: int) -> str:
        if self._random.random() < 0.5:
            return f"<w:moveFrom>{self._split_words(depth)}</w:moveFrom>"
        return "<w:del><w:r><w:delText>borta</w:delText><w:tab/></w:r></w:del>"

    def _wrapped(self, depth: int) -> str:
        inner = self._inlines(self._random.randint(1, 3), depth + 1)
        if self._random.random() < 0.25:
            return f"<w:sdt><w:sdtPr/><w:sdtContent>{inner}</w:sdtContent></w:sdt>"
        name, attributes = self._random.choice(
            (("hyperlink", 'w:anchor="m"'), ("ins", ""), ("moveTo", ""), ("smartTag", ""))
        )
        return f"<w:{name} {attributes}>{inner}</w:{name}>"

    def _field(self, depth: int) -> str:
        code = self._random.choice((' HYPERLINK "https://x.test" ', " PAGE ", " REF m \\h "))
        begin, middle, end = (
            f'<w:r><w:fldChar w:fldCharType="{kind}"/></w:r>'
            for kind in ("begin", "separate", "end")
        )
        result = self._inlines(1, depth + 1)
        return f"{begin}<w:r><w:instrText>{code}</w:instrText></w:r>{middle}{result}{end}"

    def _text_box(self, depth: int) -> str:
        inner = self._blocks(self._random.randint(1, 2), 3) + self._paragraph(3)
        box = f"<w:txbxContent>{inner}</w:txbxContent>"
        choice = f'<mc:Choice Requires="wps"><w:drawing>{box}</w:drawing></mc:Choice>'
        shape = f"<v:shape><v:textbox>{box}</v:textbox></v:shape>"
        fallback = f"<mc:Fallback><w:pict>{shape}</w:pict></mc:Fallback>"
        return f"<w:r><mc:AlternateContent>{choice}{fallback}</mc:AlternateContent></w:r>"

    def _note(self, _: int) -> str:
        kind = self._random.choice(tuple(self._notes))
        text = "".join(
            f"<w:p><w:r><w:{kind}Ref/></w:r>{self._split_words(3)}</w:p>"
            for _ in range(self._random.randint(1, 2))
        )
        self._notes[kind].append(text)
        return f'<w:r><w:{kind}Reference w:id="{len(self._notes[kind]) - 1}"/></w:r>'
