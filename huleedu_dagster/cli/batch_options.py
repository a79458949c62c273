"""The options with which a command is told the settings of a batch."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import typer

from huleedu_dagster.cli.common import Exit, Installation, fail
from huleedu_dagster.domain.registration import ApplyCorrections, BatchSettings

ExpectedOption = Annotated[
    int | None, typer.Option("--expected", min=1, help="How many essays there should be, up to 99.")
]
LanguageOption = Annotated[
    str | None, typer.Option("--language", help="Language of the essays, such as en or de.")
]
VarietyOption = Annotated[
    str | None,
    typer.Option("--variety", help="Only this variety's spelling is right, such as en-GB."),
]
MinWordsOption = Annotated[
    int | None, typer.Option("--min-words", min=0, help="Fewest words of an essay.")
]
MaxWordsOption = Annotated[
    int | None, typer.Option("--max-words", min=1, help="Most words of an essay.")
]
WordListOption = Annotated[
    Path | None,
    typer.Option("--word-list", exists=True, dir_okay=False, help="File with words to accept."),
]
ApplyOption = Annotated[
    ApplyCorrections | None,
    typer.Option("--apply", help="Which corrections the corrected texts hold."),
]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for; `None` is what was not spoken of. The names are the settings'."""

    language: str | None = None
    variety: str | None = None
    min_words: int | None = None
    max_words: int | None = None
    apply_corrections: ApplyCorrections | None = None
    word_list: tuple[str, ...] | None = None

    @property
    def spoken_of(self) -> dict[str, Any]:
        """The settings that were asked for, by name."""
        values = ((it.name, getattr(self, it.name)) for it in fields(self))
        return {name: value for name, value in values if value is not None}

    def over(self, before: BatchSettings) -> BatchSettings:
        """Put what was asked for in the place of what was before.

        Ends the command when no essay could be checked with the result.

        Raises:
            pydantic.ValidationError: A value is out of range.
        """
        chosen = {**before.model_dump(), **self.spoken_of}
        if self.variety is None and not chosen["variety"].startswith(f"{chosen['language']}-"):
            chosen["variety"] = ""
        return BatchSettings(**chosen)


def words_of(path: Path | None) -> tuple[str, ...] | None:
    """The words of a word list; ends the command when it is no text."""
    if path is None:
        return None
    try:
        return tuple(path.read_text(encoding="utf-8-sig").split())
    except UnicodeDecodeError:
        fail(f"the word list {path} is not text in UTF-8", Exit.USAGE)


def check_spelling(installation: Installation, settings: BatchSettings) -> None:
    """End the command if essays cannot be checked with these settings."""
    from huleedu_dagster.resources.speller import SpellerResource
    from huleedu_dagster.spelling.accept_lists import has_variety

    known = SpellerResource.of(installation.settings).open().languages
    if settings.language not in known:
        fail(
            f"spelling can be checked in {', '.join(sorted(known))}, not in {settings.language!r}",
            Exit.USAGE,
        )
    if settings.variety and not has_variety(settings.variety):
        fail(f"there is no dictionary for the variety {settings.variety!r}", Exit.USAGE)
