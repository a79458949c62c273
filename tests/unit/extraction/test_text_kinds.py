"""txt, md and html, and the encodings they come in."""

import pytest

from huleedu_dagster.extraction.normalise import normalise
from tests.unit.extraction.helpers import ESSAY_TEXT, extract, text_of

SHORT = ("Åsa åt ägg på en ö.", "Hej då", "på", "Är det så? Jo.", "Idé, café – och måndag")


ENCODINGS = (
    "utf-8",
    "utf-8-sig",
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "utf-32",
    "latin-1",
    "cp1252",
    "mac_roman",
    "cp850",
)


def _encodable(text: str, encoding: str) -> bool:
    return text.encode(encoding, "replace").decode(encoding) == text


@pytest.mark.parametrize(
    ("text", "encoding"),
    [(t, e) for t in (*SHORT, ESSAY_TEXT) for e in ENCODINGS if _encodable(t, e)],
)
def test_swedish_is_read_in_every_encoding_a_school_has(text: str, encoding: str) -> None:
    assert text_of(text.encode(encoding), "txt") == text


def test_a_byte_order_mark_of_the_other_end_is_read() -> None:
    assert text_of(b"\xfe\xff" + "Åsa".encode("utf-16-be"), "txt") == "Åsa"


def test_russian_and_polish_in_legacy_encodings_are_read() -> None:
    russian = "Жила-была девочка, и звали её Маша. Она жила в большом городе у моря. " * 5
    assert text_of(russian.encode("cp1251"), "txt") == russian.strip()
    polish = "Zażółć gęślą jaźń, pisał uczeń w szkole średniej w Łodzi. " * 8
    assert text_of(polish.encode("cp1250"), "txt") == polish.strip()


def test_lines_of_a_text_file_stay_lines() -> None:
    assert text_of(b"a  \r\nb\rc\n\n\n \n\nd\n", "txt") == "a\nb\nc\n\nd"


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("a\u030a", "å"),
        ("e\ufb03cient \ufb01l", "efficient fil"),
        ("mjuk\u00adt\u200b \ufeffo\u2060rd\x07\x00", "mjukt ord"),
        ("a\u2028b\u2029c\x0cd", "a\nb\n\nc\n\nd"),
        ("a\ud83d", "a\ufffd"),
        ("\n\n a \t\n\n\n\nb\n", " a\n\nb"),
        ("a\u200b\u030a", "å"),
    ],
)
def test_the_normaliser_gives_one_form(raw: str, text: str) -> None:
    assert normalise(raw) == text
    assert normalise(text) == text


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p><b>bo</b>ld</p>", "bold"),
        ("<p>a<script>x</script><style>y</style>b</p>", "ab"),
        ("<p>a <i> b</i>\n c</p><div>d</div>e", "a b c\n\nd\n\ne"),
        ("<ul><li>a<li>b</ul>", "a\n\nb"),
        ("<p>a<br>b<br/> c</p>", "a\nb\nc"),
        ("<table><tr><td>a<td>b</table>", "a\n\nb"),
        ("<title>t</title><p>x &amp; y &#229; &lt;z&gt;", "x & y å <z>"),
        ("<pre>a\n  b</pre>", "a\n  b"),
        ("<p>a<!-- c -->b<template>t</template></p>", "ab"),
        ("<p>a<wbr>b</p>", "ab"),
    ],
)
def test_html_reads_as_a_browser_shows_it(markup: str, text: str) -> None:
    assert text_of(markup.encode(), "html") == text


@pytest.mark.parametrize(
    "attribute", ["hidden", 'style="color:red; display: none"', "style='visibility:hidden'"]
)
def test_hidden_html_is_left_out_with_a_warning(attribute: str) -> None:
    result = extract(f"<p>a</p><p {attribute}>dold</p>".encode(), "html")
    assert (result.text, result.warnings) == ("a", ("HIDDEN_TEXT_PRESENT",))


def test_html_nested_deeper_than_python_may_call_is_read() -> None:
    assert text_of(b"<b>" * 3_000 + b"x", "html") == "x"


@pytest.mark.parametrize(
    "head",
    ['<meta charset="iso-8859-1">', "<meta content='text/html; charset=windows-1252'>", ""],
)
def test_html_is_decoded_as_its_meta_tag_says(head: str) -> None:
    markup = f"<html><head>{head}</head><body><p>Åsa åt ägg</p></body></html>"
    assert text_of(markup.encode("latin-1"), "htm") == "Åsa åt ägg"


def test_a_false_or_unknown_meta_tag_does_no_harm() -> None:
    for name in ("utf-16", "klingon", "ascii-not", "hex", "zlib"):
        markup = f'<meta charset="{name}"><p>Åsa</p>'
        assert text_of(markup.encode(), "html") == "Åsa"
    assert text_of("<p>Åsa</p>".encode("utf-16"), "html") == "Åsa"


def test_html_without_a_telling_suffix_is_still_html_and_a_txt_file_is_not() -> None:
    page = b"<!DOCTYPE html><html><body><p>a</p></body></html>"
    assert text_of(page, "") == "a"
    assert text_of(page, "doc") == "a"
    assert text_of(page, "txt").startswith("<!DOCTYPE")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("# Rubrik\n\nEn *rad*\noch **till**.", "Rubrik\n\nEn rad och till."),
        ("a  \nb\\\nc", "a\nb\nc"),
        ("[länk](http://x) och ![bild](y.png)", "länk och bild"),
        ("- a\n- b\n\n> c", "a\n\nb\n\nc"),
        ("1. a\n2. b", "a\n\nb"),
        ("```\nkod\n  mer\n```", "kod\n  mer"),
        ("`x` &amp; ~~y~~ \\*z\\*", "x & y *z*"),
        ("| a | b |\n|---|---|\n| c | d |", "a\n\nb\n\nc\n\nd"),
        ("<div>a<b>b</b></div>\n\nc<br>d<b>e</b>", "ab\n\nc\nde"),
        ("---\ntitle: T\ntags:\n  - x\n---\nText", "Text"),
        ("+++\ntitle = 'T'\n+++\nText", "Text"),
        ("---\n\nInte metadata alls\n\n---\n\nText", "Inte metadata alls\n\nText"),
        (">" * 60 + " djupt", "djupt"),
    ],
)
def test_markdown_reads_as_it_is_rendered(source: str, text: str) -> None:
    assert text_of(source.encode(), "md") == text


def test_many_replacement_characters_warn_of_garbled_text() -> None:
    clean = "Hej på dig " * 100 + "\ue000"
    assert extract(clean.encode(), "txt").warnings == ()
    private = "Hej \ue000\ue001\ue002 på dig"
    assert extract(private.encode(), "txt").warnings == ("GARBLED_TEXT",)
