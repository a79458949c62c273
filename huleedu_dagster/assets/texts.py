"""What Dagster's pages say of each asset and check, in Markdown, for who runs the installation.

The first sentence stands alone in lists and in the lineage. Each text then says what a partition
is, what a cell that is rejected or absent looks like, and what materializing it again does.
"""

from huleedu_dagster.domain.outcomes import Stage

_CELL = """
**A partition** is one essay: `BATCH|SLOT`, such as `class-9b|e001`. Slots are given in the order in
which files arrive. A cell that is absent has not been worked on, or its batch was archived.
"""

_OUTCOMES = """
**`outcome`** in the metadata is
- `accepted`: the stage has a result, at `blob` in the store if it is one that is kept;
- `rejected`: a result, too, and the run is green; `code` says why (docs/error-codes.md);
- `not reached`: an earlier stage rejected the file, with the `code` that is shown;
- `no essay`: somebody chose a cell that is no essay of its batch, and nothing was done.
"""

_AGAIN = """
**Materializing it again** shows what is stored, with `computed` false, as long as bytes, settings
and code are the same. With other ones the stage is computed, from what is stored before it, and a
batch with news is released as its next revision. `force: true` in the run's configuration computes
in any case; another result is then a failure of the run.
"""

STAGES = {
    Stage.RAW_UPLOAD: (
        "The uploaded file as it came, byte for byte, held against its hash.\n"
        f"{_CELL}{_OUTCOMES}"
        "\nNothing is ever rejected here. `bytes` is the size, and `version` counts the files that "
        "were handed in under the same name.\n"
        "\n**Materializing it again** reads the file from the store and compares its hash; it "
        "does not upload anything.\n"
    ),
    Stage.EXTRACTED_PLAINTEXT: (
        "The plain text of the file, or the code that says why there is none.\n"
        f"{_CELL}{_OUTCOMES}"
        "\n`transient` is true where time or memory ran out: another try may go well. `warnings` "
        "names what of the file was left out.\n"
        f"{_AGAIN}"
    ),
    Stage.VALIDATION_RESULT: (
        "Whether the text fits the limits of its batch.\n"
        f"{_CELL}{_OUTCOMES}"
        "\n`words` is the length of the text, which the batch's limits are held against.\n"
        f"{_AGAIN}"
    ),
    Stage.SPELLCHECK_RESULT: (
        "Misspellings with their places and suggestions, and the corrected text.\n"
        f"{_CELL}{_OUTCOMES}"
        "\n`misspellings` counts the flagged words, `applied` those that were put right in the "
        "corrected text. `intake_page` is where a person reads the essay.\n"
        f"{_AGAIN}"
    ),
}

_BATCH = """
**A partition** is a batch, under the id that it was registered with. One that is absent is still
being worked on, or was archived.
"""

REGISTRATION = f"""What a teacher decided about a batch: limits, language, word list.
{_BATCH}
The sensor `upload_sensor` tells of it without a run. Its data version is the hash of the settings:
when one of them changes, validation and spelling of this batch show as stale, and nothing else.
Of a word list only the size is shown.

**Materializing it again** reads the settings from the ledger. They are changed with
`huleedu register --update`, not here.
"""

MANIFEST = f"""What is in a batch, with the version of all it was made from.
{_BATCH}
A batch that is incomplete has one, too: `ready` is false, and `missing`, `pending` and
`dead_lettered` say why. `outcomes` counts the files by outcome and code, with the slots they are
in.

**Materializing it again** writes it from what the ledger says now; the same facts give the same
bytes. The check `batch_is_complete` is then evaluated, and stops the release of this run if the
batch is not ready.
"""

REPORT = f"""What a teacher is told about the batch, as JSON and as a page to print.
{_BATCH}
An incomplete batch has a report, too. `outcomes` counts the files by outcome and code; `words`,
`misspellings` and `misspellings_per_100_words` are of the essays whose spelling was checked.

**Materializing it again** writes it from what the ledger says now; the same facts give the same
bytes.
"""

RELEASE = f"""The batch handed on to later phases, with one event for each revision.
{_BATCH}
A batch that is not released is incomplete or still in work; the check `batch_is_complete` of its
manifest says which. `seconds_from_registration` and `seconds_from_last_upload` end at the moment
of this revision.

**Materializing it again** releases nothing that is released already. Where results are others than
those of the last revision, the next one is released, with its own event.
"""

RAW_BLOB_IS_INTACT = """The stored bytes have the hash they were received with.

**When it fails**, the file in the store is missing or damaged. Bring it back from a backup, and run
the check again; the ledger knows the hash that is right.
"""

EXTRACTION_IS_REPRODUCIBLE = """Extracting the stored bytes again gives the recorded result.

What was recorded by another version of the code passes, and so does a rejection that is
`transient`. **When it fails**, the machine or a library differs from the one that did the work:
materialize the essay's `extracted_plaintext` after finding out which.
"""

BATCH_IS_COMPLETE = """The batch is settled, nothing is missing, there is no dead letter.

It blocks the release of an incomplete batch, and its run is red by design; the report is written
all the same. Slots that were waived do not count. **When it fails**, take more essays
(`huleedu reopen`), replay the dead letters, or go on without (`huleedu waive`): the batch is then
looked at again by itself.
"""
