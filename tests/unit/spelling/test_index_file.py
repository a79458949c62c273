"""The file of an index: built once, shared, and built again when it is damaged."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from huleedu_dagster.spelling.dictionaries import Dictionary
from huleedu_dagster.spelling.engine import IndexCandidates
from huleedu_dagster.spelling.index import IndexUnavailableError, index_path
from huleedu_dagster.spelling.index_build import build_index
from huleedu_dagster.spelling.index_file import write_index

ROOT = Path(__file__).resolve().parents[3]
WORDS = [first + second for first in "fghjklmnprst" for second in ("reind", "riend", "rond")]
BUILDING = "Building the spelling index for 'xx'; this is done once …"
WAITING = "Another process is building the spelling index for 'xx' …"
OPEN = """
import json, os, sys
from pathlib import Path
from huleedu_dagster.spelling.dictionaries import Dictionary
from huleedu_dagster.spelling.engine import IndexCandidates
{first}
dictionary = Dictionary.own("xx", Path(sys.argv[1]))
say = lambda line: print(line, flush=True)
index = IndexCandidates.open(dictionary, Path(sys.argv[2]), say)
print(json.dumps(sorted(index.candidates("freind"))), "numpy" in sys.modules)
"""


@pytest.fixture
def dictionary(tmp_path: Path) -> Dictionary:
    path = tmp_path / "words.json"
    path.write_text(json.dumps(dict.fromkeys(WORDS, 1)))
    return Dictionary.own("xx", path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "indexes"


def opened(dictionary: Dictionary, folder: Path) -> tuple[IndexCandidates, list[str]]:
    said: list[str] = []
    return IndexCandidates.open(dictionary, folder, said.append), said


def assert_works(index: IndexCandidates) -> None:
    assert index.candidates("freint") == {"freind"}
    assert index.candidates("friond") == {"friend", "frond"}
    assert not index.known("freint")
    assert all(index.count(word) == 1 for word in WORDS)


def child(dictionary: Dictionary, folder: Path, first: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", OPEN.format(first=first), str(dictionary.path), str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )


def test_an_index_is_built_once_and_then_opened(dictionary: Dictionary, folder: Path) -> None:
    first, said = opened(dictionary, folder)
    assert said == [BUILDING]
    assert_works(first)
    before = index_path(dictionary, folder).stat()
    again, said = opened(dictionary, folder)
    assert said == []
    assert_works(again)
    assert index_path(dictionary, folder).stat() == before
    assert {it.suffix for it in folder.iterdir()} == {".index", ".checked", ".lock"}


def test_of_two_processes_one_builds_and_the_other_waits(
    dictionary: Dictionary, folder: Path
) -> None:
    folder.mkdir(parents=True)
    with index_path(dictionary, folder).with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        children = [child(dictionary, folder) for _ in range(2)]
        for process in children:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == WAITING
        assert not index_path(dictionary, folder).exists()
    outputs = sorted(it.communicate()[0].splitlines() for it in children)
    assert outputs == [[BUILDING, '["freind"] True'], ['["freind"] False']]


def test_several_processes_read_one_file_and_load_no_builder(
    dictionary: Dictionary, folder: Path
) -> None:
    opened(dictionary, folder)
    before = index_path(dictionary, folder).stat()
    children = [child(dictionary, folder) for _ in range(3)]
    assert {it.communicate()[0] for it in children} == {'["freind"] False\n'}
    assert index_path(dictionary, folder).stat() == before


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def flip_unseen(path: Path) -> None:
    before = path.stat()
    flip(path, before.st_size // 2)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def truncate(path: Path, size: int) -> None:
    with path.open("r+b") as stream:
        stream.truncate(size)


def append(path: Path, data: bytes) -> None:
    path.write_bytes(path.read_bytes() + data)


def overwrite(path: Path, data: bytes) -> None:
    path.write_bytes(data + path.read_bytes()[len(data) :])


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda path: truncate(path, 0), "there is no header"),
    "less than a header": (lambda path: truncate(path, 100), "there is no header"),
    "cut short": (lambda path: truncate(path, path.stat().st_size - 8), "it is not complete"),
    "too long": (lambda path: append(path, bytes(8)), "it is not complete"),
    "not finished": (lambda path: overwrite(path, bytes(4096)), "its header is not whole"),
    "something else": (lambda path: path.write_text("no" * 4096), "its header is not whole"),
    "a byte of the magic": (lambda path: flip(path, 0), "its header is not whole"),
    "a byte of the header": (lambda path: flip(path, 40), "its header is not whole"),
    "a byte of the words": (lambda path: flip(path, 4096), "its contents have changed"),
    "the last byte": (lambda path: flip(path, -1), "its contents have changed"),
    "a byte under an old date": (flip_unseen, "its contents have changed"),
}


@pytest.mark.parametrize(("damage", "reason"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_noticed_and_built_again(
    damage: Callable[[Path], object], reason: str, dictionary: Dictionary, folder: Path
) -> None:
    opened(dictionary, folder)
    damage(index_path(dictionary, folder))
    index, said = opened(dictionary, folder)
    assert said == [f"The spelling index for 'xx' is damaged: {reason}.", BUILDING]
    assert_works(index)
    assert opened(dictionary, folder)[1] == []


def test_a_byte_changed_while_there_was_no_stamp_is_noticed(
    dictionary: Dictionary, folder: Path
) -> None:
    opened(dictionary, folder)
    path = index_path(dictionary, folder)
    path.with_suffix(".checked").unlink()
    flip(path, -1)
    assert opened(dictionary, folder)[1][-1] == BUILDING


def test_an_index_of_another_format_or_dictionary_is_not_taken(
    dictionary: Dictionary, folder: Path
) -> None:
    folder.mkdir(parents=True)
    contents = build_index(dictionary)
    for name in contents.key:
        other = replace(contents, key={**contents.key, name: "other"})
        write_index(index_path(dictionary, folder), other)
        index, said = opened(dictionary, folder)
        assert said[-1] == BUILDING, name
        assert_works(index)


def test_another_dictionary_of_a_language_has_an_index_of_its_own(
    dictionary: Dictionary, folder: Path, tmp_path: Path
) -> None:
    first, _ = opened(dictionary, folder)
    path = tmp_path / "others.json"
    path.write_text('{"freint": 3}')
    other, said = opened(Dictionary.own("xx", path), folder)
    assert said == [BUILDING]
    assert other.candidates("freint") == {"freint"}
    assert_works(first)
    assert opened(dictionary, folder)[1] == []
    assert first.version != other.version


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_build_that_is_killed_leaves_no_index(
    call: str, dictionary: Dictionary, folder: Path
) -> None:
    process = child(dictionary, folder, f"os.{call} = lambda *_: os.kill(os.getpid(), 9)")
    assert process.communicate()[0].splitlines() == [BUILDING]
    assert process.returncode == -signal.SIGKILL
    assert {it.suffix for it in folder.iterdir()} == {".part", ".lock"}
    index, said = opened(dictionary, folder)
    assert said == [BUILDING]
    assert_works(index)
    assert {it.suffix for it in folder.iterdir()} == {".index", ".checked", ".lock"}


def test_an_index_in_use_survives_being_replaced(dictionary: Dictionary, folder: Path) -> None:
    used, _ = opened(dictionary, folder)
    index_path(dictionary, folder).unlink()
    assert opened(dictionary, folder)[1] == [BUILDING]
    assert_works(used)


def test_without_a_stamp_the_whole_file_is_compared_each_time(
    dictionary: Dictionary, folder: Path
) -> None:
    opened(dictionary, folder)
    # A folder in its place cannot be written, not even by root.
    stamp = index_path(dictionary, folder).with_suffix(".checked")
    stamp.unlink()
    stamp.mkdir()
    index, said = opened(dictionary, folder)
    assert said == []
    assert_works(index)
    assert {it.suffix for it in folder.iterdir()} == {".index", ".checked", ".lock"}


def test_a_folder_that_cannot_be_made_is_an_error_that_says_so(
    dictionary: Dictionary, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(IndexUnavailableError, match=r"'xx' cannot be built in .*must exist"):
        IndexCandidates.open(dictionary, tmp_path / "file" / "indexes")


def test_a_full_disk_is_an_error_and_leaves_nothing_unfinished(
    dictionary: Dictionary, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(IndexUnavailableError, match="No space left"):
            IndexCandidates.open(dictionary, folder)
    assert {it.suffix for it in folder.iterdir()} == {".lock"}
    assert_works(opened(dictionary, folder)[0])
