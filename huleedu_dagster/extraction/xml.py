"""XML as office files may hold it: no document type, no entities, no network, no great depth."""

from typing import Any

from lxml import etree

from huleedu_dagster.domain.outcomes import Code
from huleedu_dagster.extraction.errors import ExtractionError


def parse_xml(data: bytes) -> Any:
    """Parse one part of an office file.

    Args:
        data: The part, in any encoding XML allows.

    Returns:
        Its root element, without comments and processing instructions.

    Raises:
        ExtractionError: CORRUPTED_FILE, not well-formed, nested too deeply, or with a DTD.
    """
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        huge_tree=False,
        load_dtd=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise ExtractionError(Code.CORRUPTED_FILE, "an XML part is not well-formed") from error
    # Office files never have one; all entity attacks need one.
    if root is None or root.getroottree().docinfo.internalDTD is not None:
        raise ExtractionError(Code.CORRUPTED_FILE, "an XML part has a document type")
    return root
