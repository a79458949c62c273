"""Relations between the parts of an Office Open XML file."""

from dataclasses import dataclass
from urllib.parse import unquote

from huleedu_dagster.extraction.archive import Archive, resolve
from huleedu_dagster.extraction.xml import parse_xml

CONTENT_TYPES = "[Content_Types].xml"
_MAIN_PART = "word/document.xml"
_DOCUMENT_TYPES = (
    "wordprocessingml.document.main+xml",
    "wordprocessingml.template.main+xml",
    "application/vnd.ms-word.document.macroenabled.main+xml",
    "application/vnd.ms-word.template.macroenabledtemplate.main+xml",
)


@dataclass(frozen=True, slots=True)
class Relation:
    """One relation of a part.

    Attributes:
        kind: Last word of the relation's type (`footnotes`, `officeDocument`, …).
        target: Member name of the part it points to.
    """

    kind: str
    target: str


def relations(archive: Archive, part: str) -> list[Relation]:
    """The inner relations of `part`, or of the whole package when it is an empty string."""
    folder, _, name = part.rpartition("/")
    path = f"{folder}/_rels/{name}.rels".lstrip("/")
    if path not in archive:
        return []
    found = []
    for element in parse_xml(archive.read(path)):
        target = unquote(element.get("Target", ""))
        if target and element.get("TargetMode", "").lower() != "external":
            kind = element.get("Type", "").rsplit("/", 1)[-1]
            found.append(Relation(kind, resolve(part, target)))
    return found


def word_main_part(archive: Archive) -> str | None:
    """The member that holds the body of a Word document.

    Args:
        archive: The opened archive.

    Returns:
        Its name, or None when the archive is not a Word document.

    Raises:
        ExtractionError: A part needed to tell is damaged, locked or too large.
    """
    if CONTENT_TYPES not in archive:
        return None
    overrides, defaults = _part_types(archive)
    candidates = [r.target for r in relations(archive, "") if r.kind == "officeDocument"]
    for part in [*candidates, _MAIN_PART]:
        kind = overrides.get(part.lower(), "")
        usual = defaults.get(part.lower().rpartition(".")[2], "")
        declared = (kind or usual).endswith(_DOCUMENT_TYPES)
        # Some writers leave out the override for the well-known name.
        undeclared = part.lower() == _MAIN_PART and not kind
        if part in archive and (declared or undeclared):
            return part
    return None


def _part_types(archive: Archive) -> tuple[dict[str, str], dict[str, str]]:
    """Content types in lower case, by part name and by suffix."""
    overrides, defaults = {}, {}
    for element in parse_xml(archive.read(CONTENT_TYPES)):
        kind = element.get("ContentType", "").lower()
        if name := element.get("PartName"):
            overrides[name.lstrip("/").lower()] = kind
        elif suffix := element.get("Extension"):
            defaults[suffix.lower()] = kind
    return overrides, defaults
