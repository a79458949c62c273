"""The limits of extraction as settings."""

import pytest

from huleedu_dagster.domain.outcomes import Code
from huleedu_dagster.resources.extractor import ExtractorResource
from huleedu_dagster.settings import Settings
from tests.factory.documents import docx_bytes, html_bytes, md_bytes, rtf_bytes
from tests.factory.pdf import pdf_bytes

LONG = ["One of many paragraphs of an essay, each as long as this."] * 300


def extractor_with(monkeypatch: pytest.MonkeyPatch, **limits: str) -> ExtractorResource:
    """The resource of an installation with these settings."""
    for name, value in limits.items():
        monkeypatch.setenv(f"HULEEDU_EXTRACTION_{name.upper()}", value)
    return ExtractorResource.of(Settings())


def test_without_settings_the_limits_are_the_standard_ones() -> None:
    assert ExtractorResource.of(Settings()) == ExtractorResource()


@pytest.mark.parametrize(
    ("name", "value", "data"),
    [
        ("max_input_bytes", "500", docx_bytes(LONG)),
        ("max_zip_members", "2", docx_bytes(LONG)),
        ("max_part_bytes", "500", docx_bytes(LONG)),
        ("max_total_bytes", "500", docx_bytes(LONG)),
        ("max_pdf_pages", "1", pdf_bytes(LONG)),
        ("max_markup_tags", "9", html_bytes(LONG)),
        ("max_markup_depth", "9", b"<div>" * 50 + b"An essay." + b"</div>" * 50),
        ("max_markdown_steps", "9", md_bytes(LONG)),
        ("max_rtf_tokens", "9", rtf_bytes(LONG)),
        ("max_output_chars", "500", docx_bytes(LONG)),
    ],
)
def test_a_file_beyond_a_set_limit_is_too_large(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, data: bytes
) -> None:
    suffix = {"max_markdown_steps": "md", "max_markup_depth": "html"}.get(name, "")
    assert ExtractorResource().open().extract(data, suffix).text is not None
    found = extractor_with(monkeypatch, **{name: value}).open().extract(data, suffix)
    assert (found.code, found.transient) == (Code.TOO_LARGE, False)


def test_another_limit_is_another_version_because_it_may_change_a_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    standard = ExtractorResource().open().version
    assert extractor_with(monkeypatch, max_pdf_pages="9").open().version != standard
    assert extractor_with(monkeypatch, max_pdf_pages="300").open().version == standard
    monkeypatch.setenv("HULEEDU_EXTRACTION_CPU_SECONDS", "3")
    assert ExtractorResource.of(Settings()).open().version == standard
