"""Bags of odd batches, and files that are no bags: what an archive meets over the years."""

import json
import random
import tracemalloc
import unicodedata
import zipfile
from contextlib import suppress
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huleedu_dagster.reports.bag import bag_pieces
from huleedu_dagster.reports.bag_check import DamagedBagError, check_bag
from huleedu_dagster.reports.bag_content import BagContent
from huleedu_dagster.reports.bag_names import safe_path
from tests.support.workshop import GOOD, Workshop

DAY = date(2026, 12, 1)
HOSTILE = (
    "essay.txt\u00a0",
    "</script><script>alert(1)</script>.txt",
    "\u202egnp.exe.txt",
    "قصة/مقال.txt",
    "Zoe\u0308/e\u0301te\u0301.txt",
    "\U0001f469\u200d\U0001f4bb.txt",
    "a\u00ad\u2028\ufeffb.txt",
    "aux/COM¹.txt",
    "..hidden/~$essay.txt",
    f"{'ä' * 200}/{'x' * 200}.txt",
    "100% sure\\of: it?.txt",
)


def packed(shop: Workshop, to: Path, batch_id: str = "class-a") -> Path:
    """The bag of a batch in a file."""
    content = BagContent.read(shop.ledger, shop.blobs, batch_id)
    to.write_bytes(b"".join(bag_pieces(content, DAY)))
    return to


def test_a_batch_without_essays_has_a_bag(shop: Workshop, tmp_path: Path) -> None:
    shop.register(expected=2)
    shop.close()
    file = packed(shop, tmp_path / "bag.zip")
    assert check_bag(file) == 5
    with zipfile.ZipFile(file) as found:
        assert json.loads(found.read("class-a/data/uploads.json")) == []
        assert "No file was handed in." in found.read("class-a/data/report.html").decode()


def test_hostile_names_are_packed_so_that_every_system_unpacks_them(
    shop: Workshop, tmp_path: Path
) -> None:
    shop.register(expected=len(HOSTILE))
    for number, name in enumerate(HOSTILE):
        shop.receive(name, GOOD + f" {number}".encode())
    shop.process_pending()
    shop.release()
    file = packed(shop, tmp_path / "bag.zip")
    check_bag(file)
    with zipfile.ZipFile(file) as found:
        names = found.namelist()
        listed = json.loads(found.read("class-a/data/uploads.json"))
        manifest = found.read("class-a/manifest-sha256.txt").decode()
    kept = {unicodedata.normalize("NFC", it.replace("\\", "/")) for it in HOSTILE}
    assert {it["file_name"] for it in listed} == kept
    assert len({unicodedata.normalize("NFKC", it).casefold() for it in names}) == len(names)
    assert len(manifest.split("\n")) - 1 == sum(it.startswith("class-a/data/") for it in names)
    for it in names:
        assert len(it.encode()) < 255 + 100
        assert all(len(part.encode()) <= 255 for part in it.split("/"))
        assert not any(unicodedata.category(char)[0] == "C" for char in it)


@given(st.text(st.characters(categories=("Z", "C", "L")), min_size=1, max_size=80))
def test_a_line_of_a_manifest_stays_one_line_whatever_a_name_holds(path: str) -> None:
    line = f"0  data/{safe_path(path)}"
    assert line.splitlines() == [line]
    assert line.strip() == line


@pytest.mark.parametrize("name", ["COM¹.txt", "lpt³", "CONIN$", "conout$.txt", "com1 .txt"])
def test_no_name_is_that_of_a_device(name: str) -> None:
    assert safe_path(name).startswith("_")


def rewritten(file: Path, name: str, content: bytes) -> None:
    """Put other bytes in the place of a file of a bag."""
    with zipfile.ZipFile(file) as found:
        members = {it: found.read(it) for it in found.namelist()}
    with zipfile.ZipFile(file, "w") as out:
        for it, data in {**members, name: content}.items():
            out.writestr(it, data)


@pytest.mark.parametrize(
    "name", ["bagit.txt", "bag-info.txt", "manifest-sha256.txt", "tagmanifest-sha256.txt"]
)
def test_whatever_stands_in_its_tag_files_a_bag_is_whole_or_damaged(
    shop: Workshop, tmp_path: Path, name: str
) -> None:
    shop.register()
    shop.receive("a.txt")
    file = packed(shop, tmp_path / "bag.zip")
    with zipfile.ZipFile(file) as found:
        before = found.read(f"class-a/{name}")
    chance = random.Random(name)
    others = [b"", b"\x00", b"\xff\xfe", b"nothing\n", before.replace(b"  ", b" ../../")]
    for _ in range(25):
        at = chance.randrange(len(before))
        others.append(before[:at] + chance.randbytes(chance.randrange(3)) + before[at + 1 :])
    for other in others:
        rewritten(file, f"class-a/{name}", other)
        # Nothing holds the last of them against what it was.
        may_pass = name.startswith("tagmanifest") or other == before
        with suppress(DamagedBagError):
            assert check_bag(file) == 7
            assert may_pass, other


@pytest.mark.parametrize(("at", "value"), [(8, 1), (10, 9), (10, 97)])
def test_a_zip_that_is_locked_or_packed_in_another_way_is_no_bag_to_check(
    shop: Workshop, tmp_path: Path, at: int, value: int
) -> None:
    shop.register()
    file = packed(shop, tmp_path / "bag.zip")
    data = bytearray(file.read_bytes())
    begin = data.find(b"PK\x01\x02")
    while begin >= 0:
        data[begin + at] = value
        begin = data.find(b"PK\x01\x02", begin + 4)
    file.write_bytes(data)
    with pytest.raises(DamagedBagError):
        check_bag(file)


@pytest.mark.slow
def test_no_more_is_held_in_memory_the_more_essays_there_are(
    shop: Workshop, tmp_path: Path
) -> None:
    peaks = []
    text = "This essay is about teh sea and the ships on it. " * 100
    for batch_id, count in (("few", 4), ("many", 24)):
        shop.register(batch_id, expected=count)
        for number in range(count):
            shop.receive(f"{number}.txt", f"{text} {number}".encode(), batch_id=batch_id)
        shop.process_pending()
        content = BagContent.read(shop.ledger, shop.blobs, batch_id)
        tracemalloc.start()
        with (tmp_path / batch_id).open("wb") as out:
            for piece in bag_pieces(content, DAY):
                out.write(piece)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]
