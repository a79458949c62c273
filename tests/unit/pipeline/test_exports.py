"""Results as files for people."""

from huleedu_dagster.pipeline.exports import export_batch
from tests.support.workshop import Workshop


def test_the_corrected_text_of_an_essay_that_is_rejected_now_is_removed(shop: Workshop) -> None:
    folder = shop.folder / "results"
    shop.register(expected=2)
    shop.hand_in("a.txt", "b.txt")
    shop.process_pending()
    export_batch(shop.ledger, shop.blobs, "class-a", folder)
    own = folder / "corrected" / "notes.txt"
    own.write_text("a teacher's own")

    shop.hand_in("a.txt", data=b"")
    shop.process_pending()
    written = export_batch(shop.ledger, shop.blobs, "class-a", folder)

    names = [it.name for it in (folder / "corrected").iterdir()]
    assert sorted(names) == ["e002-b.txt.txt", "notes.txt"]
    assert [it.name for it in written] == ["e002-b.txt.txt"]
