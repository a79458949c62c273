"""`huleedu dictionaries`: which there are, their indexes, and how to make one's own."""

from pathlib import Path
from typing import Annotated, Any

import typer

from huleedu_dagster.cli.common import Exit, HomeOption, Installation, JsonOption, fail, print_json
from huleedu_dagster.cli.tables import print_rows
from huleedu_dagster.domain.registration import BatchSettings
from huleedu_dagster.settings import Settings
from huleedu_dagster.spelling.accept_lists import names_of
from huleedu_dagster.spelling.dictionaries import Dictionary
from huleedu_dagster.spelling.engines import IndexEngine
from huleedu_dagster.spelling.index import IndexUnavailableError, index_path
from huleedu_dagster.spelling.making import (
    LIMIT,
    UnusableSourceError,
    installed_hunspell,
    make_dictionary,
)

_FEW = 20_000

app = typer.Typer(no_args_is_help=True, help="Dictionaries and their indexes.")


@app.command("list")
def list_dictionaries(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List the languages that can be checked, and what is there for each."""
    settings = Installation.at(home).settings
    rows = [_row(settings, language) for language in sorted(_engine(settings).languages)]
    if as_json:
        print_json(rows)
        return
    names = ("language", "source", "words", "index", "hunspell")
    shown = (
        (
            row["language"],
            row["source"],
            row["words"],
            None if row["index_bytes"] is None else f"{row['index_bytes'] / 1e6:.0f} MB",
            ", ".join(row["hunspell"]) or None,
        )
        for row in rows
    )
    print_rows("Dictionaries", names, shown)


@app.command()
def build(
    languages: Annotated[
        list[str] | None,
        typer.Argument(help="Languages such as de; the one of the settings when left out."),
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build the indexes of dictionaries now, not on first use. What is built stays."""
    settings = Installation.at(home).settings
    known = _engine(settings).languages
    wanted = languages or [settings.language]
    unknown = [it for it in wanted if it not in known]
    if unknown:
        fail(
            f"there are dictionaries for {', '.join(sorted(known))}, not for {', '.join(unknown)}",
            Exit.USAGE,
        )
    rows = [_built(settings, language) for language in wanted]
    if as_json:
        print_json(rows)
    else:
        names = ("language", "index_bytes", "built")
        print_rows("Indexes", names, ([row[name] for name in names] for row in rows))


@app.command()
def make(
    language: Annotated[str, typer.Argument(help="Language of the dictionary, such as sv.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write to.")],
    hunspell: Annotated[
        str | None,
        typer.Option(
            "--hunspell", help="Installed hunspell dictionary, such as sv_SE, or a .dic file."
        ),
    ] = None,
    counts: Annotated[
        list[Path] | None,
        typer.Option(
            "--counts",
            exists=True,
            dir_okay=False,
            help="Text to count, or list of words with counts; may be given again.",
        ),
    ] = None,
    only_counted: Annotated[
        bool, typer.Option("--only-counted", help="Leave out words without a count.")
    ] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Words, at most.")] = LIMIT,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a dictionary from a hunspell dictionary and texts; HULEEDU_DICTIONARIES uses it."""
    settings = Installation.at(home).settings
    BatchSettings(language=language)
    source = _hunspell(language, hunspell)
    try:
        made = make_dictionary(
            language,
            source,
            out,
            texts=counts or (),
            only_counted=only_counted,
            limit=limit,
            progress=_tell,
        )
    except UnusableSourceError as error:
        fail(str(error), Exit.USAGE)
    if made.words < _FEW:
        _tell(f"Only {made.words} words: many right words will not be suggested.")
    if as_json:
        print_json(
            {
                "language": language,
                "hunspell": source.stem,
                "file": str(made.path),
                "words": made.words,
                "counted": made.counted,
                "refused": made.refused,
                "beyond_limit": made.beyond_limit,
            }
        )
        return
    typer.echo(
        f"{made.path}: {made.words} words, {made.counted} with counts; {made.refused} words of the "
        f"texts refused by hunspell, {made.beyond_limit} words left out beyond the limit"
    )
    if settings.dictionaries != out.resolve():
        typer.echo(f"To use it: export HULEEDU_DICTIONARIES={out.resolve()}")


def _engine(settings: Settings) -> IndexEngine:
    return IndexEngine(settings.spelling_cache, settings.dictionaries)


def _dictionary(settings: Settings, language: str) -> Dictionary:
    own = None if settings.dictionaries is None else settings.dictionaries / f"{language}.json.gz"
    if own is not None and own.exists():
        return Dictionary.own(language, own)
    return Dictionary.installed(language)


def _row(settings: Settings, language: str) -> dict[str, Any]:
    dictionary = _dictionary(settings, language)
    try:
        words = len(dictionary.counts())
    except ValueError as error:
        fail(f"{dictionary.path} is no dictionary: {error}", Exit.USAGE)
    return {
        "language": language,
        "source": dictionary.source,
        "words": words,
        "index_bytes": _index(settings, dictionary)[1],
        "hunspell": list(names_of(language)),
    }


def _built(settings: Settings, language: str) -> dict[str, Any]:
    dictionary = _dictionary(settings, language)
    before, _ = _index(settings, dictionary)
    try:
        _engine(settings).open(language, _tell)
    except IndexUnavailableError as error:
        fail(str(error), Exit.INFRASTRUCTURE)
    except ValueError as error:
        fail(f"{dictionary.path} is no dictionary: {error}", Exit.USAGE)
    after, size = _index(settings, dictionary)
    return {"language": language, "index_bytes": size, "built": before != after}


def _index(settings: Settings, dictionary: Dictionary) -> tuple[int | None, int | None]:
    """Which file holds the index of a dictionary, by its inode, and its bytes; nothing yet."""
    try:
        found = index_path(dictionary, settings.spelling_cache).stat()
    except FileNotFoundError:
        return None, None
    return found.st_ino, found.st_size


def _hunspell(language: str, name: str | None) -> Path:
    """The `.dic` file that was asked for, or the only one for the language."""
    installed = installed_hunspell()
    of_language = list(names_of(language)) or [
        it for it in installed if it.partition("_")[0] == language
    ]
    if name is None:
        if len(of_language) == 1:
            return installed[of_language[0]]
        found = ", ".join(of_language) or f"none for {language!r}"
        fail(f"choose a hunspell dictionary with --hunspell; installed: {found}", Exit.USAGE)
    if name in installed:
        return installed[name]
    path = Path(name)
    if path.suffix == ".dic" and path.exists() and path.with_suffix(".aff").exists():
        return path
    return fail(
        f"there is no hunspell dictionary {name}; there are {', '.join(installed)}, and any .dic "
        "file with its .aff file beside it",
        Exit.USAGE,
    )


def _tell(sentence: str) -> None:
    typer.echo(sentence, err=True)
