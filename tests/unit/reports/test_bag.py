"""A batch as a bag: the BagIt library's own checker passes it, and finds all damage."""

import hashlib
import json
import os
import random
import shutil
import zipfile
from datetime import date
from pathlib import Path

import bagit
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huleedu_dagster.domain.ids import ContentType
from huleedu_dagster.reports.bag import bag_pieces
from huleedu_dagster.reports.bag_check import DamagedBagError, check_bag
from huleedu_dagster.reports.bag_content import BagContent
from huleedu_dagster.reports.bag_names import safe_path
from huleedu_dagster.storage.port import BlobCorruptedError
from tests.support.ledger import events
from tests.support.workshop import GOOD, Workshop

DAY = date(2026, 12, 1)
LARGE = random.Random(7).randbytes(6_000_000)


@pytest.fixture
def shop(shop: Workshop) -> Workshop:
    """Two versions of an essay, an empty one, one with a name for no system, one too many."""
    shop.register(expected=3)
    shop.receive("Anna Åberg/essay.txt")
    shop.receive("Anna Åberg/essay.txt", GOOD + b" Again.")
    shop.receive('con.: 50% "sea"?.txt', GOOD + b" Once.")
    shop.receive("empty.txt", b"")
    shop.receive("late/large.pdf", LARGE)
    shop.process_pending()
    shop.release()
    return shop


def packed(shop: Workshop, to: Path) -> Path:
    """The bag of the batch in a file."""
    content = BagContent.read(shop.ledger, shop.blobs, "class-a")
    to.write_bytes(b"".join(bag_pieces(content, DAY)))
    return to


def unpacked(file: Path, folder: Path) -> Path:
    """The folder of a bag."""
    with zipfile.ZipFile(file) as found:
        found.extractall(folder)
    (root,) = folder.iterdir()
    return root


def again(folder: Path, to: Path) -> Path:
    """A changed bag in a zip whose own checks pass."""
    with zipfile.ZipFile(to, "w") as out:
        for path in sorted(folder.rglob("*")):
            out.write(path, f"{folder.name}/{path.relative_to(folder).as_posix()}")
    return to


def test_the_checker_of_the_library_passes_a_bag_with_everything(
    shop: Workshop, tmp_path: Path
) -> None:
    file = packed(shop, tmp_path / "bag.zip")
    root = unpacked(file, tmp_path / "out")
    bag = bagit.Bag(str(root))
    assert bag.validate()
    assert (bag.algorithms, bag.version_info) == (["sha256"], (1, 0))
    assert bag.has_oxum()
    assert sorted(bag.payload_entries()) == [
        "data/essays/e001/corrected.txt",
        "data/essays/e001/sheet.html",
        "data/essays/e001/spelling.json",
        "data/essays/e001/text.txt",
        "data/essays/e002/corrected.txt",
        "data/essays/e002/sheet.html",
        "data/essays/e002/spelling.json",
        "data/essays/e002/text.txt",
        "data/essays/e003/sheet.html",
        "data/events.jsonl",
        "data/manifest.json",
        "data/report.html",
        "data/report.json",
        "data/uploads.json",
        "data/uploads/001-e001-v1/Anna Åberg/essay.txt",
        "data/uploads/002-e001-v2/Anna Åberg/essay.txt",
        "data/uploads/003-e002-v1/_con._ 50_ _sea__.txt",
        "data/uploads/004-e003-v1/empty.txt",
        "data/uploads/005-excess-v1/late/large.pdf",
    ]
    assert check_bag(file) == 19


def test_a_bag_holds_the_very_bytes_that_were_handed_in_and_stored(
    shop: Workshop, tmp_path: Path
) -> None:
    data = unpacked(packed(shop, tmp_path / "bag.zip"), tmp_path / "out") / "data"
    listed = json.loads((data / "uploads.json").read_text())
    assert [it["file_name"] for it in listed][2] == 'con.: 50% "sea"?.txt'
    for it in listed:
        content = (data.parent / it["bag_path"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == it["sha256"]
        assert len(content) == it["bytes"]
    assert [it["current"] for it in listed] == [False, True, True, True, False]
    with shop.ledger.read() as tx:
        keys = {
            name: tx.results.latest_blob("class-a", kind)
            for name, kind in (
                ("report.html", ContentType.BATCH_REPORT_HTML),
                ("report.json", ContentType.BATCH_REPORT_JSON),
                ("manifest.json", ContentType.BATCH_MANIFEST),
            )
        }
    for name, key in keys.items():
        assert (data / name).read_bytes() == (shop.folder / "blobs" / str(key)).read_bytes()
    told = [json.loads(it) for it in (data / "events.jsonl").read_text().splitlines()]
    assert [it["data"] for it in told if "essays.ready" in it["event_type"]] == events(
        shop.ledger, "essays.ready"
    )


def test_its_tag_file_names_the_batch_and_nobody(shop: Workshop, tmp_path: Path) -> None:
    root = unpacked(packed(shop, tmp_path / "bag.zip"), tmp_path / "out")
    info = bagit.Bag(str(root)).info
    assert set(info) == {
        "Bag-Software-Agent",
        "Bagging-Date",
        "External-Identifier",
        "External-Description",
        "Batch-Status",
        "Payload-Oxum",
    }
    assert (info["External-Identifier"], info["Batch-Status"]) == ("class-a", "ready")
    assert info["Bagging-Date"] == "2026-12-01"
    assert "Anna" not in (root / "bag-info.txt").read_text()


def test_the_same_facts_on_the_same_day_are_the_same_bytes(shop: Workshop, tmp_path: Path) -> None:
    first = packed(shop, tmp_path / "1.zip").read_bytes()
    shop.clock.advance(60)
    assert packed(shop, tmp_path / "2.zip").read_bytes() == first


def test_large_files_pass_in_pieces(shop: Workshop) -> None:
    content = BagContent.read(shop.ledger, shop.blobs, "class-a")
    sizes = [len(it) for it in bag_pieces(content, DAY)]
    assert sum(sizes) > len(LARGE)
    assert max(sizes) < len(LARGE) / 3


@pytest.mark.parametrize(
    "name",
    [
        "data/report.html",
        "data/essays/e001/text.txt",
        "data/uploads/005-excess-v1/late/large.pdf",
        "bag-info.txt",
        "manifest-sha256.txt",
    ],
)
@pytest.mark.parametrize("how", ["changed", "shorter", "gone"])
def test_damage_of_any_file_is_found(shop: Workshop, tmp_path: Path, name: str, how: str) -> None:
    root = unpacked(packed(shop, tmp_path / "bag.zip"), tmp_path / "out")
    victim = root / name
    data = victim.read_bytes()
    if how == "gone":
        victim.unlink()
    else:
        victim.write_bytes(data[:-1] + (bytes([data[-1] ^ 1]) if how == "changed" else b""))
    with pytest.raises(DamagedBagError) as caught:
        check_bag(again(root, tmp_path / "again.zip"))
    if how == "changed":
        assert caught.value.paths == (name,)


def test_a_file_too_many_is_found(shop: Workshop, tmp_path: Path) -> None:
    root = unpacked(packed(shop, tmp_path / "bag.zip"), tmp_path / "out")
    (root / "data" / "more.txt").write_text("more")
    with pytest.raises(DamagedBagError):
        check_bag(again(root, tmp_path / "again.zip"))


def test_a_zip_that_is_cut_or_flipped_or_no_bag_is_found(shop: Workshop, tmp_path: Path) -> None:
    file = packed(shop, tmp_path / "bag.zip")
    data = file.read_bytes()
    middle = len(data) // 2
    for wrong in (
        data[:middle],
        data[:middle] + bytes([data[middle] ^ 255]) + data[middle + 1 :],
        b"",
    ):
        file.write_bytes(wrong)
        with pytest.raises(DamagedBagError):
            check_bag(file)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "essay.txt").write_text("no bag")
    with pytest.raises(DamagedBagError, match="no bag"):
        check_bag(again(tmp_path / "other", file))
    with pytest.raises(FileNotFoundError):
        check_bag(tmp_path / "nothing.zip")


def test_a_zip_without_room_to_unpack_it_is_left_packed(
    shop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = packed(shop, tmp_path / "bag.zip")
    with zipfile.ZipFile(file) as found:
        size = sum(it.file_size for it in found.infolist())
    room = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: room._replace(free=size - 1))
    with pytest.raises(OSError, match=f"unpacks to {size} bytes, and {size - 1} are free"):
        check_bag(file)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: room._replace(free=size))
    assert check_bag(file) == 19


def test_no_file_is_unpacked_beyond_the_size_that_the_zip_tells(tmp_path: Path) -> None:
    file = tmp_path / "bag.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("bag/large.txt", bytes(1_000_000))
    data = bytearray(file.read_bytes())
    place = data.find(b"PK\x01\x02") + 24
    data[place : place + 4] = (1_000).to_bytes(4, "little")
    file.write_bytes(data)
    with pytest.raises(DamagedBagError, match="damaged"):
        check_bag(file)


def test_what_is_damaged_in_the_store_is_not_packed(shop: Workshop) -> None:
    victim = shop.folder / "blobs" / shop.essay("e002").upload.blob_key
    victim.chmod(0o600)
    victim.write_bytes(b"other")
    with pytest.raises(BlobCorruptedError):
        list(bag_pieces(BagContent.read(shop.ledger, shop.blobs, "class-a"), DAY))


def test_the_checker_keeps_names_of_files_out_of_the_log(
    shop: Workshop, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = unpacked(packed(shop, tmp_path / "bag.zip"), tmp_path / "out")
    (root / "data/uploads/001-e001-v1/Anna Åberg/essay.txt").write_text("x")
    with pytest.raises(DamagedBagError):
        check_bag(again(root, tmp_path / "again.zip"))
    assert caplog.records == []


@given(st.text(min_size=1, max_size=300))
def test_a_safe_path_is_short_and_plain(path: str) -> None:
    found = safe_path(path)
    parts = found.split("/")
    assert 1 <= len(parts) <= 2
    for part in parts:
        assert 1 <= len(part) <= 61
        assert part not in (".", "..")
        assert part == part.strip(" .")
        assert not set(part) & set('<>:"\\|?*%\r\n\t\0')
    assert os.path.normpath(found) == found


@pytest.mark.parametrize(
    ("path", "safe"),
    [
        ("essay.docx", "essay.docx"),
        ("a/b/Åsa/essay.docx", "Åsa/essay.docx"),
        ("NUL.txt", "_NUL.txt"),
        ("x\u202etxt.exe", "x_txt.exe"),
        ("../../etc", "_/etc"),
        ("." * 9, "_"),
        (f"{'long ' * 40}.docx", f"{('long ' * 40)[:54]}.docx"),
    ],
)
def test_examples_of_safe_paths(path: str, safe: str) -> None:
    assert safe_path(path) == safe
