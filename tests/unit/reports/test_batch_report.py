"""The report of a batch as a teacher prints it, and the sheets of its essays."""

import itertools
import json
import re

import pytest
from selectolax.lexbor import LexborHTMLParser, LexborNode

from huleedu_dagster.domain.ids import ContentType
from huleedu_dagster.domain.outcomes import Stage
from huleedu_dagster.domain.registration import BatchSettings
from huleedu_dagster.pipeline import lifecycle
from huleedu_dagster.pipeline.views import BatchFacts
from huleedu_dagster.reports import batch as batch_module
from huleedu_dagster.reports.batch import batch_html, write_batch_report
from huleedu_dagster.reports.batch_content import BatchReport
from huleedu_dagster.reports.sheets import Sheet, sheet_html, sheets_of
from tests.support.workshop import Workshop

WORDS = "This essay is about teh sea and Teh ships on it."
_FILLER = " The sea is wide and the ships are old." * 10


@pytest.fixture
def shop(shop: Workshop) -> Workshop:
    """Two good essays of which one is there twice, an empty file, one missing, one waived."""
    lifecycle.register(
        shop.ledger,
        "class-a",
        settings=BatchSettings(),
        expected_essay_count=6,
        course="English <7>",
        class_name="9B",
    )
    shop.receive("Anna Berg/essay.txt", WORDS.encode())
    shop.receive("Nils/essay.txt", (WORDS + _FILLER).encode())
    shop.receive("empty.txt", b"")
    shop.receive("copy \u202etxt.exe", WORDS.encode())
    shop.process_pending()
    shop.close()
    lifecycle.waive(shop.ledger, "class-a", "e006", "ill <since Monday>")
    return shop


def report_of(shop: Workshop) -> BatchReport:
    return BatchReport.of(shop.facts(), shop.blobs)


def page_of(shop: Workshop) -> LexborHTMLParser:
    return LexborHTMLParser(batch_html(report_of(shop)))


def table(page: LexborHTMLParser, caption: str) -> list[list[str]]:
    """The cells of a table's rows."""
    (found,) = (it for it in page.css("table") if text(it.css_first("caption")) == caption)
    return [[text(cell) for cell in row.css("th, td")] for row in found.css("tbody tr")]


def text(node: LexborNode | None) -> str:
    assert node is not None
    return " ".join(node.text().split())


def sheets(shop: Workshop) -> dict[str, Sheet]:
    return {it.slot: it for it in sheets_of(shop.facts(), report_of(shop), shop.blobs)}


def test_every_essay_has_its_words_and_its_misspellings_per_hundred(shop: Workshop) -> None:
    rows = {it[0]: it for it in table(page_of(shop), "Every file that was handed in")}
    assert rows["e001"][1:6] == ["Anna Berg/essay.txt", "Accepted", "11", "2", "18.2"]
    assert rows["e002"][3:6] == ["101", "2", "2.0"]
    assert rows["e003"][2:6] == ["Rejected EMPTY_CONTENT", "–", "–", "–"]
    assert rows["e006"][2:6] == ["Waived", "–", "–", "–"]


def test_what_needs_attention_comes_with_reason_and_remedy(shop: Workshop) -> None:
    page = page_of(shop)
    (rejected,) = table(page, "Rejected files")
    assert rejected[0] == "e003"
    assert rejected[2:] == [
        "EMPTY_CONTENT",
        "The file has no text in it.",
        "Check that the right file was handed in, and hand in the one with the essay.",
    ]
    assert table(page, "Waived: the batch went on without these") == [
        ["e006", "ill <since Monday>"]
    ]
    assert "Nothing was handed in for: e005." in text(page.css_first("main"))
    assert table(page, "Files with the same content") == [
        ["e001", "Anna Berg/essay.txt", "e004"],
        ["e004", "copy [U+202E]txt.exe", "e001"],
    ]


def boxes(page: LexborHTMLParser) -> dict[str, str]:
    """The counts above everything, by name."""
    return {text(it.css_first("dt")): text(it.css_first("dd")) for it in page.css(".counts div")}


def test_counts_that_are_no_news_are_left_out(shop: Workshop) -> None:
    found = boxes(page_of(shop))
    assert [found.get(it) for it in ("Accepted", "Rejected", "Missing")] == ["3", "1", "1"]
    assert found["Waived"] == "1"
    assert not found.keys() & {"Ready", "Dead letters", "Excess"}


def test_what_is_stuck_too_many_or_late_is_told_too(shop: Workshop) -> None:
    shop.register("class-b", expected=2)
    for name in ("stuck.txt", "good.txt", "more.txt"):
        shop.receive(name, f"{WORDS} {name}".encode(), batch_id="class-b")
    for number in range(3):
        shop.pipeline.record_failure(
            shop.essay("e001", batch_id="class-b"), run_id=f"run-{number}", error=OSError()
        )
    shop.process("e002", batch_id="class-b")
    page = LexborHTMLParser(batch_html(BatchReport.of(shop.facts("class-b"), shop.blobs)))
    told = [it[:3] for it in table(page, "Files that were not accepted")]
    assert told == [
        ["e001", "stuck.txt", "INFRASTRUCTURE_FAILURE"],
        ["–", "more.txt", "BATCH_FULL"],
    ]
    lifecycle.waive(shop.ledger, "class-b", "e001", "tried thrice")
    page = LexborHTMLParser(batch_html(BatchReport.of(shop.facts("class-b"), shop.blobs)))
    assert table(page, "Waived: the batch went on without these") == [["e001", "tried thrice"]]


def test_misspellings_of_the_class_are_counted_by_essay(shop: Workshop) -> None:
    (row,) = table(page_of(shop), "Commonest misspellings of the class")
    assert row == ["teh", "teh", "Certain", "6", "3", "e001 × 2, e002 × 2, e004 × 2"]


def test_lengths_and_rates_of_the_class_are_drawn(shop: Workshop) -> None:
    said = [text(it) for it in page_of(shop).css("svg desc")]
    assert said[0].startswith("Words of an essay, with the number of essays: 0–49: 2")
    assert said[1].startswith("Misspellings per 100 words, with the number of essays: 0–4.9: 1")


def test_a_batch_without_a_text_has_a_report_without_figures(shop: Workshop) -> None:
    shop.register("class-b", expected=1)
    shop.receive("empty.txt", b"", batch_id="class-b")
    shop.process_pending()
    report = BatchReport.of(shop.facts("class-b"), shop.blobs)
    page = batch_html(report)
    assert (report.charts, report.class_rate, report.middle_length) == ((), None, None)
    assert "<svg" not in page
    assert "median" not in page


def test_the_page_says_of_which_day_the_batch_is(shop: Workshop) -> None:
    said = text(page_of(shop).css_first(".facts"))
    assert said == "Batch class-a · English <7> · registered 2026-11-22"


def test_a_batch_without_files_says_so_in_place_of_an_empty_table(shop: Workshop) -> None:
    shop.register("class-b", expected=3)
    page = LexborHTMLParser(batch_html(BatchReport.of(shop.facts("class-b"), shop.blobs)))
    assert page.css("table") == []
    assert "No file was handed in." in text(page.css_first("main"))


def test_of_a_batch_that_takes_essays_nothing_is_missing_yet(shop: Workshop) -> None:
    shop.register("class-b", expected=3)
    assert BatchReport.of(shop.facts("class-b"), shop.blobs).missing == ()


def test_the_page_stands_alone_and_what_others_wrote_is_text(shop: Workshop) -> None:
    html = batch_html(report_of(shop), list(sheets(shop).values()))
    page = LexborHTMLParser(html)
    root = page.css_first("html")
    assert root is not None
    assert root.attributes["lang"] == "en"
    assert text(page.css_first("title")) == "Report of 9B"
    assert page.css("script, link, img, iframe, [style], [src]") == []
    assert "url(" not in html
    assert "@import" not in html
    assert "\u202e" not in html
    assert "English <7>" in text(page.css_first(".facts"))
    targets = [str(it.attributes["href"]) for it in page.css("[href]")]
    assert targets
    assert all(it.startswith("#") and page.css_first(it) is not None for it in targets)
    ids = [it.attributes["id"] for it in page.css("[id]")]
    assert len(ids) == len(set(ids))
    headings = [int(str(it.tag)[1]) for it in page.css("h1, h2, h3")]
    assert headings[0] == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(headings))


def test_a_sheet_marks_every_misspelling_and_tells_of_each_word_once(shop: Workshop) -> None:
    sheet = sheets(shop)["e001"]
    page = LexborHTMLParser(sheet_html(sheet))
    shown = page.css_first(".text")
    assert shown is not None
    assert shown.attributes["lang"] == "en"
    assert [text(it) for it in shown.css("mark")] == ["teh", "Teh"]
    assert text(shown) == "This essay is about teh1 sea and Teh1 ships on it."
    assert table(page, "Misspelled words") == [
        ["1", "teh", "2", "TEH", "Certain", "Only one known word is this near."]
    ]


def test_a_text_that_means_harm_or_turns_is_shown_as_it_is(shop: Workshop) -> None:
    odd = (
        "</script><script>alert(1)</script> teh <!-- & ]]> {{ 7 * 7 }}\n\n"
        "\u0628\u062d\u0631 teh \u202e12 cafe\u0301 \U0001f469\u200d\U0001f4bb Teh end of it."
    )
    shop.register("class-b", settings=BatchSettings(language="sv"), expected=1)
    shop.receive("odd.txt", odd.encode(), batch_id="class-b")
    shop.process("e001", batch_id="class-b")
    facts = shop.facts("class-b")
    report = BatchReport.of(facts, shop.blobs)
    (sheet,) = sheets_of(facts, report, shop.blobs)
    for html in (sheet_html(sheet), batch_html(report, [sheet])):
        page = LexborHTMLParser(html)
        assert page.css("script") == []
        shown = page.css_first(".text")
        assert shown is not None
        assert (shown.attributes["lang"], shown.attributes["dir"]) == ("sv", "auto")
        for it in shown.css("sup"):
            it.decompose()
        read = shop.blobs.get(*_text_of(facts)).decode()
        assert shown.text() == read
        assert "</script><script>" in read
        for word in page.css("td bdi, th bdi"):
            if text(word).lower() == "teh":
                assert word.parent is not None
                assert word.parent.attributes["lang"] == "sv"


def _text_of(facts: BatchFacts) -> tuple[str, str]:
    record = facts.records["e001"][Stage.EXTRACTED_PLAINTEXT]
    return str(record.blob_key), record.data_version


def test_a_rejected_essay_has_a_sheet_with_its_reason_and_no_marks(shop: Workshop) -> None:
    page = LexborHTMLParser(sheet_html(sheets(shop)["e003"]))
    assert "The file has no text in it." in text(page.css_first(".notice"))
    assert page.css("mark, table") == []


def test_the_report_for_programs_has_the_figures_too(shop: Workshop) -> None:
    stored = write_batch_report(shop.ledger, shop.blobs, "class-a")
    with shop.ledger.read() as tx:
        key = tx.results.latest_blob("class-a", ContentType.BATCH_REPORT_JSON)
    assert key is not None
    told = json.loads(shop.blobs.get(key, stored.sha256))
    assert told["misspellings_per_100_words"] == {
        "class": 4.9,
        "essays": {"e001": 18.2, "e002": 2.0, "e004": 18.2},
    }
    assert told["missing_essays"] == ["e005"]
    assert told["waivers"] == {"e006": "ill <since Monday>"}
    assert told["commonest_misspellings"][0]["by_essay"] == {"e001": 2, "e002": 2, "e004": 2}


def test_a_report_that_other_code_writes_again_takes_the_place_of_the_first(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = write_batch_report(shop.ledger, shop.blobs, "class-a").blob_key
    assert write_batch_report(shop.ledger, shop.blobs, "class-a").blob_key == before
    monkeypatch.setattr(batch_module, "batch_html", lambda _: "another page")
    shop.clock.advance(5)
    after = write_batch_report(shop.ledger, shop.blobs, "class-a").blob_key
    assert after != before
    with shop.ledger.read() as tx:
        assert tx.results.latest_blob("class-a", ContentType.BATCH_REPORT_HTML) == after


def luminance(colour: str) -> float:
    """Relative luminance, from 0 to 1."""
    parts = (int(colour[it : it + 2], 16) / 255 for it in (1, 3, 5))
    linear = [it / 12.92 if it <= 0.04045 else ((it + 0.055) / 1.055) ** 2.4 for it in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(
    ("above", "below", "least"),
    [
        *(("ink", it, 4.5) for it in ("paper", "head", "bad", "odd", "mark", "unsure")),
        ("quiet", "paper", 4.5),
        ("link", "paper", 4.5),
        ("link", "odd", 4.5),
        ("bar", "paper", 3.0),
        ("line", "paper", 3.0),
    ],
)
def test_colours_are_told_apart(shop: Workshop, above: str, below: str, least: float) -> None:
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", batch_html(report_of(shop))))
    one, other = sorted((luminance(colours[above]), luminance(colours[below])))
    assert (other + 0.05) / (one + 0.05) >= least
