"""The caps that keep one hostile or huge file from costing more than an essay is worth."""

from dataclasses import dataclass

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ExtractionLimits:
    """Caps on one file. Passing any of them is `TOO_LARGE`, except where noted.

    Attributes:
        max_input_bytes: Size of the uploaded file, bytes.
        max_zip_members: Members of a docx or odt archive.
        max_part_bytes: Unpacked size of one archive member that is read, bytes.
        max_total_bytes: Unpacked size of all members that are read, together, bytes.
        max_part_ratio: Unpacked to packed size of one member that is read.
        ratio_floor_bytes: Members that unpack to less than this may have any ratio, bytes.
        max_pdf_pages: Pages of a PDF.
        max_markup_tags: Tags of an HTML page.
        max_markup_depth: Elements of an HTML page, or groups of an RTF document, inside each other.
        max_tag_attributes: Attributes of one HTML tag.
        max_markdown_steps: Places that the Markdown parser looks at, each time counted; an ordinary
            text has about one in ten characters.
        max_rtf_tokens: Control words, signs, braces and pieces of text of an RTF document.
        max_output_chars: Characters of extracted text.
        max_space_repeat: Spaces one repeat count of an odt may stand for; a larger count is cut
            to this, not refused.
    """

    max_input_bytes: int = 25 * _MIB
    max_zip_members: int = 2_000
    max_part_bytes: int = 32 * _MIB
    max_total_bytes: int = 64 * _MIB
    max_part_ratio: int = 200
    ratio_floor_bytes: int = 4 * _MIB
    max_pdf_pages: int = 300
    max_markup_tags: int = 200_000
    max_markup_depth: int = 5_000
    max_tag_attributes: int = 256
    max_markdown_steps: int = 200_000
    max_rtf_tokens: int = 2_000_000
    max_output_chars: int = 2_000_000
    max_space_repeat: int = 100
