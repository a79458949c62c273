"""Short ways to extract, shared by the tests of the readers."""

from huleedu_dagster.domain.outcomes import Code
from huleedu_dagster.extraction.direct import DirectExtractor
from huleedu_dagster.extraction.port import Extraction

ESSAY = (
    "Åsa skriver om älvar",
    (
        "Det var en gång en liten älv som hette Ö. Hon bodde i en skog långt norrut, där snön låg "
        "kvar till maj och där ingen människa hade satt sin fot. Varje morgon gick hon ner "
        "till ån för att se om isen hade gått, och varje morgon fick hon vända om igen."
    ),
    "En dag hörde hon någon ropa: ”Är det någon där?” Det var en pojke – han hade gått vilse.",
    (
        "Älven tänkte länge. Skulle hon visa sig? Hennes mormor hade sagt att människor inte "
        "går att lita på, men pojken såg så liten ut där han satt och grät. Till slut gick "
        "hon fram till honom, tog hans hand och ledde honom hela vägen hem till byn igen."
    ),
    "Sedan dess säger man i byn att den som går vilse ska vänta vid ån tills älven kommer.",
)
ESSAY_TEXT = "\n\n".join(ESSAY)


def extract(data: bytes, suffix: str = "") -> Extraction:
    """What the extractor makes of a file."""
    return DirectExtractor().extract(data, suffix)


def text_of(data: bytes, suffix: str = "") -> str:
    """The text of a file that must be readable."""
    result = extract(data, suffix)
    assert result.text is not None, (result.code, result.message)
    return result.text


def code_of(data: bytes, suffix: str = "") -> Code | None:
    """The code a file is refused with, or None."""
    return extract(data, suffix).code
