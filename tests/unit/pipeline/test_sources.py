"""Files to hand in from folders and archives, within limits."""

import io
import struct
import zipfile
from pathlib import Path

import pytest

from huleedu_dagster.pipeline import sources
from huleedu_dagster.pipeline.sources import (
    Source,
    UnreadableFileError,
    archive_members,
    sources_of,
)
from tests.unit.pipeline.archives import broken_member, empty_members, zipped

LIMIT = 10_000


def archive(tmp_path: Path, data: bytes, name: str = "all.zip") -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


def members(path: Path) -> list[Source] | None:
    return archive_members(path, max_bytes=LIMIT)


def content(found: list[Source] | None) -> dict[str, bytes]:
    assert found is not None
    return {it.path: it.read() for it in found}


def test_the_files_below_a_folder_are_known_by_their_relative_path(tmp_path: Path) -> None:
    for name in ("b.txt", "Ida/a.txt", ".DS_Store", "Ida/~$a.docx"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(name.encode())
    (tmp_path / "link.txt").symlink_to(tmp_path / "b.txt")
    (tmp_path / "link").symlink_to(tmp_path / "Ida")
    found = content(sources_of(tmp_path, max_bytes=LIMIT))
    assert found == {"Ida/a.txt": b"Ida/a.txt", "b.txt": b"b.txt"}


def test_a_single_file_is_known_by_its_name(tmp_path: Path) -> None:
    path = archive(tmp_path, b"text", "essay.txt")
    assert content(sources_of(path, max_bytes=LIMIT)) == {"essay.txt": b"text"}


def test_an_archive_is_a_folder_with_or_without_a_folder_around_it(tmp_path: Path) -> None:
    data = {"b.txt": b"b", "Ida/a.txt": b"a", "__MACOSX/a.txt": b"", "Ida/.DS_Store": b""}
    path = archive(tmp_path, zipped(data))
    assert content(sources_of(path, max_bytes=LIMIT)) == {"Ida/a.txt": b"a", "b.txt": b"b"}
    inside = content(sources_of(tmp_path, max_bytes=LIMIT))
    assert inside == {"all.zip/Ida/a.txt": b"a", "all.zip/b.txt": b"b"}


def test_an_archive_in_an_archive_is_not_opened(tmp_path: Path) -> None:
    inner = zipped({"a.txt": b"a"})
    path = archive(tmp_path, zipped({"inner.zip": inner}))
    assert content(members(path)) == {"inner.zip": inner}


def test_only_a_zip_archive_is_one_whatever_it_holds(tmp_path: Path) -> None:
    assert members(archive(tmp_path, zipped({"a.txt": b""}), "essay.docx")) is None
    assert members(archive(tmp_path, b"no archive")) is None
    assert members(archive(tmp_path, zipped({}))) is None


def test_an_archive_with_too_many_files_is_handed_in_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "MAX_ZIP_MEMBERS", 3)
    three = {f"{number}.txt": b"x" for number in range(3)}
    assert len(content(members(archive(tmp_path, zipped(three))))) == 3
    assert members(archive(tmp_path, zipped({**three, "4.txt": b"x"}))) is None


@pytest.mark.parametrize("lie", ["none", "count", "short record", "long record"])
def test_a_huge_directory_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lie: str
) -> None:
    path = archive(tmp_path, empty_members(50_000, lie))
    assert len(zipfile.ZipFile(path).infolist()) == 50_000

    def refuse(*_: object) -> None:
        raise AssertionError("the whole directory was read")

    monkeypatch.setattr("zipfile.ZipFile.__init__", refuse)
    assert members(path) is None


@pytest.mark.parametrize("lie", ["short record", "long record"])
def test_an_archive_with_long_records_is_one_all_the_same(tmp_path: Path, lie: str) -> None:
    assert len(content(members(archive(tmp_path, empty_members(2, lie))))) == 2


def test_an_archive_with_a_file_that_is_too_large_is_handed_in_as_it_is(tmp_path: Path) -> None:
    assert members(archive(tmp_path, zipped({"a.txt": b"x" * LIMIT}))) is not None
    assert members(archive(tmp_path, zipped({"a.txt": b"x" * (LIMIT + 1)}))) is None


def test_an_archive_that_unpacks_to_too_much_is_handed_in_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = zipped({"a.txt": b"x" * 60, "b.txt": b"x" * 60})
    monkeypatch.setattr(sources, "MAX_ZIP_BYTES", 120)
    assert members(archive(tmp_path, data)) is not None
    monkeypatch.setattr(sources, "MAX_ZIP_BYTES", 119)
    assert members(archive(tmp_path, data)) is None


def test_an_archive_that_is_a_bomb_is_handed_in_as_it_is(tmp_path: Path) -> None:
    bomb = zipped({"a.txt": b"\0" * 1_000_000}, compression=zipfile.ZIP_DEFLATED)
    assert archive_members(archive(tmp_path, bomb), max_bytes=10_000_000) is None


@pytest.mark.parametrize("name", ["../a.txt", "/etc/passwd", "b/../../a.txt", "..\\a.txt", "C:/a"])
def test_an_archive_that_climbs_out_is_handed_in_as_it_is(tmp_path: Path, name: str) -> None:
    assert members(archive(tmp_path, zipped({"fine.txt": b"", name: b"x"}))) is None


def test_an_archive_with_a_password_is_handed_in_as_it_is(tmp_path: Path) -> None:
    data = bytearray(zipped({"a.txt": b"x"}))
    central = data.index(b"PK\x01\x02")
    struct.pack_into("<H", data, central + 8, 0x1)
    assert members(archive(tmp_path, bytes(data))) is None


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a.txt", "a.txt"),
        ("Ida/a.txt", "Ida\\a.txt"),
        ("é.txt", "e\u0301.txt"),
        ("a.txt", "./a.txt"),
    ],
)
def test_two_files_under_one_path_are_not_mistaken_for_versions(
    tmp_path: Path, one: str, other: str
) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        made.writestr(one, b"first")
        made.writestr(other, b"second")
    found = members(archive(tmp_path, stream.getvalue()))
    assert found is None or len({it.path for it in found}) == 2


def test_litter_packed_on_windows_is_no_essay(tmp_path: Path) -> None:
    path = archive(tmp_path, zipped({"Ida\\a.txt": b"a", "Ida\\Thumbs.db": b"x"}))
    assert content(members(path)) == {"Ida/a.txt": b"a"}


@pytest.mark.parametrize("harm", ["bytes", "packed", "name"])
def test_a_damaged_file_of_an_archive_cannot_be_read(tmp_path: Path, harm: str) -> None:
    data = broken_member({"a.txt": b"some text, long enough to be damaged" * 9}, "a.txt", harm=harm)
    found = members(archive(tmp_path, data))
    assert found is not None
    with pytest.raises(UnreadableFileError):
        found[0].read()


def test_a_file_that_is_larger_than_its_archive_says_cannot_be_read(tmp_path: Path) -> None:
    data = bytearray(zipped({"a.txt": b"x" * 100}, compression=zipfile.ZIP_DEFLATED))
    central = data.index(b"PK\x01\x02")
    struct.pack_into("<I", data, central + 24, 5)
    found = members(archive(tmp_path, bytes(data)))
    assert found is not None
    with pytest.raises(UnreadableFileError):
        found[0].read()


def test_a_file_that_is_gone_cannot_be_read(tmp_path: Path) -> None:
    path = archive(tmp_path, b"text", "essay.txt")
    (found,) = sources_of(path, max_bytes=LIMIT)
    path.unlink()
    with pytest.raises(UnreadableFileError):
        found.read()
    with pytest.raises(UnreadableFileError):
        archive_members(tmp_path / "gone.zip", max_bytes=LIMIT)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_packed_in_a_way_that_cannot_be_bounded_is_handed_in_as_one_file(
    tmp_path: Path, method: int
) -> None:
    path = tmp_path / "class.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("essay.txt", "An essay about the sea. " * 50)
    [source] = sources_of(path, max_bytes=10_000)
    assert (source.path, source.read()) == ("class.zip", path.read_bytes())
