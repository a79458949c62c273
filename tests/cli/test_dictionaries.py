"""`huleedu dictionaries`, and Swedish from the making of its dictionary to the corrections."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from huleedu_dagster.spelling.dictionaries import installed_languages
from tests.cli.test_commands import Shell

DOCUMENT = Path(__file__).parents[2] / "docs" / "languages.md"

TEXT = """När jag var liten bodde vi i ett rött hus vid en sjö. På morgonen gick jag till skolan
tillsammans med min bästa vän. Det var en lång väg, men vi hade alltid något att prata om. Ibland
var det spännande och ibland var det tråkigt, men vi var aldrig ensamma. Hemma väntade mamma med
mat, och efter maten gick vi ut igen. Vi brukade leka vid vattnet fast vi egentligen inte fick det.
En gång tappade jag min mössa i sjön, och den kom aldrig tillbaka. Min bror försökte hämta den med
en lång pinne, men vinden var för stark och vågorna för höga. Då började jag gråta, och han lovade
att köpa en ny.

På somrarna åkte hela familjen till havet. Där fanns det höga klippor, vita båtar och många
människor. Jag tyckte att det var intressant att titta på båtarna och undra vart de skulle. Min far
berättade om hur det var förr, när hans egen far var sjöman. Det var de bästa kvällarna, för då satt
vi alla tillsammans och lyssnade. Nästa dag ville jag alltid höra mer. Det är konstigt hur mycket
man minns av sådant, även om det är länge sedan.

Nu är jag stor och bor i en stad, men jag tänker ofta på huset vid sjön. Det är egentligen inte
huset som jag saknar, utan tiden vi hade. Varje sommar åker jag hem och går samma väg till skolan.
Den är kortare än jag minns. Träden är högre, och någon annan bor i huset. Ändå känns det som om
ingenting har hänt. Det är därför jag tycker om att skriva: allt som var kan bli till igen, och den
som läser kan vara med.
"""

# "museibesöket" is a compound that only hunspell knows; Ebba Törnqvist and Gösta are names.
ALVA = """Min bästa dag i skolan

Det var en intressangt dag när vi åkte till museet med hela klassen. Alla hoppades att bussen skulle
komma i tid, men egentlien var det ingen som trodde det. På vägen satt jag bredvid Ebba Törnqvist,
och vi pratade om allt möjligt. När vi kom fram väntade en guide på oss, och museibesöket kunde
börja. Hon berättade om hur människor levde förr, och alla lyssnade på henne. Efteråt åt vi våra
smörgåsar i parken medan solen sken.
"""
NILS = """En kväll vid havet

I somras var min familj vid havet, och där hände någonting som jag aldrig glömmer. Min bror hette
egentligen Gösta, men vi kallade honom för Gurkan. Plötsligt började det blåsa, och vågorna blev
höggre och högre. Vi sprang hem så fort vi kunde, men jag tapade min ena sko i vattnet. Nästa morgon
låg skon på stranden, tillsamans med en liten krabba.
"""
RIGHT = {
    "intressangt": "intressant",
    "egentlien": "egentligen",
    "höggre": "högre",
    "tapade": "tappade",
    "tillsamans": "tillsammans",
}


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """The command line on a fresh home."""
    return Shell(tmp_path / "home")


def own_dictionary(folder: Path, language: str = "xx", **counts: int) -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{language}.json.gz").write_bytes(gzip.compress(json.dumps(counts).encode()))


def corrections_in_swedish(shell: Shell, folder: Path) -> dict[str, list[str]]:
    """The suggestions for every word that was flagged in the two essays."""
    essays = folder / "class"
    essays.mkdir()
    (essays / "alva.txt").write_text(ALVA, encoding="utf-8")
    (essays / "nils.txt").write_text(NILS, encoding="utf-8")
    shell.json("run", essays, "--batch", "k1", "--language", "sv")
    views = [shell.json("show", "k1", slot) for slot in ("e001", "e002")]
    return {it["original"]: it["suggestions"] for view in views for it in view["corrections"]}


def make_swedish(shell: Shell, folder: Path, *options: str) -> Any:
    text = folder / "text.txt"
    text.write_text(TEXT, encoding="utf-8")
    return shell.json(
        "dictionaries", "make", "sv", "--out", folder / "own", "--counts", text, *options
    )


def test_swedish_is_checked_with_a_dictionary_made_from_texts(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_swedish(shell, tmp_path, "--only-counted")
    assert (made["hunspell"], made["counted"], made["refused"]) == ("sv_SE", made["words"], 0)
    monkeypatch.setenv("HULEEDU_DICTIONARIES", str(tmp_path / "own"))
    found = corrections_in_swedish(shell, tmp_path)
    assert {word: suggestions[0] for word, suggestions in found.items()} == RIGHT


@pytest.mark.slow
def test_swedish_is_checked_with_all_that_hunspell_makes(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_swedish(shell, tmp_path)
    assert made["words"] == 500_000
    monkeypatch.setenv("HULEEDU_DICTIONARIES", str(tmp_path / "own"))
    found = corrections_in_swedish(shell, tmp_path)
    assert {word: suggestions[0] for word, suggestions in found.items()} == RIGHT


def test_the_list_tells_sources_words_indexes_and_accept_lists(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_dictionary(tmp_path / "own", bil=60, hus=50)
    monkeypatch.setenv("HULEEDU_DICTIONARIES", str(tmp_path / "own"))
    monkeypatch.setenv("HULEEDU_SPELLING_CACHE", str(tmp_path / "cache"))
    rows = {row["language"]: row for row in shell.json("dictionaries", "list")}
    assert set(rows) == installed_languages() | {"xx"}
    expected = {"language": "xx", "source": "own", "words": 2, "index_bytes": None, "hunspell": []}
    assert rows["xx"] == expected
    assert rows["en"]["hunspell"] == ["en_US", "en_GB"]
    assert rows["en"]["source"].startswith("pyspellchecker ")


def test_an_index_is_built_once(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_dictionary(tmp_path / "own", bil=60, hus=50)
    monkeypatch.setenv("HULEEDU_DICTIONARIES", str(tmp_path / "own"))
    monkeypatch.setenv("HULEEDU_LANGUAGE", "xx")
    monkeypatch.setenv("HULEEDU_SPELLING_CACHE", str(tmp_path / "cache"))
    first = shell.run("dictionaries", "build", "--json")
    assert "Building the spelling index for 'xx'" in first.stderr
    (row,) = json.loads(first.stdout)
    assert (row["language"], row["built"]) == ("xx", True)
    second = shell.run("dictionaries", "build", "xx", "--json")
    assert second.stderr == ""
    assert json.loads(second.stdout) == [{**row, "built": False}]


def test_unknown_languages_and_dictionaries_are_errors_of_use(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = shell.run("dictionaries", "build", "en", "qq")
    assert (done.returncode, "not for qq" in done.stderr) == (2, True)
    for language, options, message in (
        ("qq", (), "none for 'qq'"),
        ("en", (), "en_US, en_GB"),
        ("sv", ("--hunspell", "sv_XX"), "sv_XX"),
        ("../sv", (), "two or three lower-case letters"),
    ):
        done = shell.run("dictionaries", "make", language, "--out", tmp_path / "own", *options)
        assert done.returncode == 2, done.stderr
        assert message in done.stderr
    own_dictionary(tmp_path / "own")
    monkeypatch.setenv("HULEEDU_SPELLING_CACHE", str(tmp_path / "cache"))
    (tmp_path / "own" / "yy.json.gz").write_bytes(gzip.compress(b"[1]"))
    monkeypatch.setenv("HULEEDU_DICTIONARIES", str(tmp_path / "own"))
    done = shell.run("dictionaries", "build", "yy")
    assert (done.returncode, "yy.json.gz is no dictionary" in done.stderr) == (2, True)


def test_the_document_names_the_languages_there_are() -> None:
    lines = DOCUMENT.read_text(encoding="utf-8").splitlines()
    named = {line.split("`")[1] for line in lines if line.startswith("| `")}
    assert named == installed_languages()
