// The form that files are handed in with: chosen, listed, sent, and what became of each.
"use strict";

for (const form of document.querySelectorAll(".hand-in-form")) {
  const { upload, size, visible } = window.huleedu;
  const find = (name) => form.querySelector(`[data-${name}]`);
  const part = {
    drop: find("drop"), files: find("files"), folder: find("folder"), box: find("hand-in"),
    summary: find("summary"), whole: find("whole"), list: find("list"), problem: find("problem"),
    submit: find("submit"), link: find("batch-link"), again: find("again"), about: find("about"),
  };
  const mostBytes = Number(form.dataset.maxBytes);
  const entries = new Map();
  let batch = form.dataset.batch
    ? { id: form.dataset.batch, correlationId: form.dataset.correlationId }
    : null;
  let registerKey = upload.randomId();
  // What was asked for under this key, as long as it is not known what became of it.
  let doubt = null;
  let sending = false;

  const KEPT = {
    new_essay: (it) => ["kept", `Kept as ${it.essay_id}.`],
    new_version: (it) => ["kept", `Kept as a new version of ${it.essay_id}.`],
    unchanged: (it) => (it.essay_id
      ? ["kept", `Here already as ${it.essay_id}; nothing changed.`]
      : ["aside", "Here already, and not counted."]),
    excess: () => ["aside", "Kept, but not counted: the batch has all the essays it expects."],
    late: () => ["aside", "Kept, but not counted: it came after the batch was closed."],
    ignored: (it) => ["skipped", it.message],
    refused: (it) => ["failed", `Not kept: ${it.message}`],
  };
  const FINAL = new Set(["kept", "aside", "skipped"]);
  const IN_DOUBT = "No file was handed in, but the class may be registered already. " +
    "Hand in again to go on with it; it is not registered twice.";

  // One line of the list.

  const line = (entry) => {
    const item = document.createElement("li");
    item.innerHTML = '<span class="name"><bdi></bdi></span><span class="bytes"></span>' +
      '<span class="state"></span><progress max="1" value="0" hidden></progress>' +
      '<button type="button" class="quiet" data-remove>Remove</button>' +
      '<button type="button" class="quiet" data-retry hidden>Try again</button>';
    const name = visible(entry.path);
    item.querySelector("bdi").textContent = name;
    item.querySelector("bdi").title = name;
    item.querySelector(".bytes").textContent = size(entry.file.size);
    item.querySelector("progress").setAttribute("aria-label", name);
    const [remove, retry] = item.querySelectorAll("button");
    remove.setAttribute("aria-label", `Remove ${name}`);
    retry.setAttribute("aria-label", `Try again: ${name}`);
    remove.addEventListener("click", () => {
      const next = (item.nextElementSibling || item.previousElementSibling)
        ?.querySelector("button:not([hidden])");
      entries.delete(entry.key);
      item.remove();
      show();
      (next || following()).focus();
    });
    retry.addEventListener("click", () => {
      set(entry, "waiting", "");
      send();
      // Its place, the one after this button, is then taken by what happens.
      part.submit.focus();
    });
    return item;
  };

  const set = (entry, state, text) => {
    entry.state = state;
    entry.item.className = state;
    entry.item.querySelector(".state").textContent = text;
    entry.item.querySelector("progress").hidden = state !== "sending";
    const removable = state === "waiting" || state === "failed";
    entry.item.querySelector("[data-remove]").hidden = !removable || sending;
    entry.item.querySelector("[data-retry]").hidden = state !== "failed" || sending || entry.tooLarge;
  };

  const retryable = () =>
    [...entries.values()].filter((it) => it.state === "failed" && !it.tooLarge);
  const count = (state) => [...entries.values()].filter((it) => it.state === state).length;
  const files = (number) => (number === 1 ? "1 file" : `${number} files`);

  const show = () => {
    const all = [...entries.values()];
    const waiting = count("waiting") + count("sending");
    const kept = count("kept") + count("aside");
    const failed = count("failed");
    part.box.hidden = all.length === 0;
    const done = kept + failed + count("skipped");
    part.whole.max = Math.max(1, all.length);
    part.whole.value = done;
    const bytes = all.reduce((sum, it) => sum + it.file.size, 0);
    const words = [];
    if (sending) words.push(`${kept} of ${files(all.length)} kept`);
    else if (waiting && !done) words.push(`${files(all.length)}, ${size(bytes)}, not handed in yet`);
    else {
      const everyOne = kept > 1 && kept === all.length;
      if (kept) words.push(everyOne ? `All ${files(kept)} are kept` : `${files(kept)} kept`);
      if (waiting) words.push(`${files(waiting)} not handed in yet`);
    }
    if (count("aside")) words.push(`${count("aside")} of them not counted`);
    if (count("skipped")) words.push(`${count("skipped")} left out`);
    if (failed) words.push(`${failed} not kept`);
    const summary = words.length ? `${words.join(", ")}.` : "";
    if (part.summary.textContent !== summary) part.summary.textContent = summary;
    const ready = count("waiting");
    const again = ready ? 0 : retryable().length;
    // While it works it keeps the focus, which a disabled button would lose.
    part.submit.disabled = !sending && !(ready || again);
    part.submit.setAttribute("aria-disabled", String(sending));
    // On the first page its place is then taken by the way to the batch.
    part.submit.hidden = part.submit.disabled && Boolean(batch && part.link);
    // Whoever leaves the page breaks off what is being sent.
    if (part.link) part.link.hidden = part.again.hidden = sending || !batch;
    part.submit.textContent = "Hand in";
    if (sending) part.submit.textContent = "Handing in…";
    else if (ready) part.submit.textContent = `Hand in ${files(ready)}`;
    else if (again) part.submit.textContent = `Try ${files(again)} again`;
  };

  // What the keyboard goes on with where the button that it was on is gone.
  const following = () => {
    if (part.submit.hidden) return part.link;
    return part.submit.disabled ? part.summary : part.submit;
  };

  // What was chosen or dropped: pairs of path and file.

  const add = (found) => {
    const taken = [];
    found.sort((a, b) => a.path.localeCompare(b.path, undefined, { numeric: true }));
    for (const { path, file } of found) {
      const key = path.normalize("NFC");
      const before = entries.get(key);
      const same = before && before.file.size === file.size &&
        before.file.lastModified === file.lastModified;
      // A file that failed may have been edited since it was chosen.
      if (before && !FINAL.has(before.state) && (same || before.state !== "failed")) {
        if (!same) taken.push(visible(path));
        continue;
      }
      if (before) before.item.remove();
      const tooLarge = file.size > mostBytes;
      const entry = { key, path, file, tooLarge, state: "waiting", item: null };
      entry.item = line(entry);
      entries.set(key, entry);
      part.list.append(entry.item);
      if (tooLarge) set(entry, "failed", `Not kept: ${form.dataset.tooLarge}`);
      else set(entry, "waiting", "");
    }
    tell(taken.length
      ? `Not added, since another file in the list has the same name: ${taken.join(", ")}. ` +
        "Two files of one name would be versions of one essay. Drop the folder that holds both."
      : "");
    show();
    if (!sending && count("waiting")) part.submit.focus({ preventScroll: true });
  };

  const tell = (text) => {
    part.problem.textContent = text;
    part.problem.hidden = !text;
  };

  // Without the folder that was chosen: its name changes from one export to the next, and the path
  // inside it is what tells an essay from another. The command line does the same.
  const inside = (path) => path.split("/").slice(1).join("/") || path;

  const entriesOf = async (folder) => {
    const reader = folder.createReader();
    const all = [];
    for (;;) {
      const some = await new Promise((done, fail) => reader.readEntries(done, fail));
      if (!some.length) return all;
      all.push(...some);
    }
  };

  const walk = async (entry, path, found) => {
    if (entry.isDirectory) {
      for (const it of await entriesOf(entry)) await walk(it, `${path}/${it.name}`, found);
    } else {
      const file = await new Promise((done, fail) => entry.file(done, fail));
      found.push({ path, file });
    }
  };

  const dropped = async (transfer) => {
    // Taken at once: the list is empty when the event is over.
    const roots = [...transfer.items].map((it) => it.webkitGetAsEntry?.()).filter(Boolean);
    const plain = [...transfer.files].map((file) => ({ path: file.name, file }));
    if (!roots.some((it) => it.isDirectory)) return plain;
    const found = [];
    for (const it of roots) await walk(it, it.name, found);
    const one = roots.length === 1;
    return found.map(({ path, file }) => ({ path: one ? inside(path) : path, file }));
  };

  part.files.addEventListener("change", () => {
    add([...part.files.files].map((file) => ({ path: file.name, file })));
    part.files.value = "";
  });
  part.folder.addEventListener("change", () => {
    add([...part.folder.files].map((file) => ({ path: inside(file.webkitRelativePath), file })));
    part.folder.value = "";
  });
  if (!("webkitdirectory" in part.folder)) find("folder-label").hidden = true;

  let depth = 0;
  const over = (change) => {
    depth = Math.max(0, depth + change);
    part.drop.classList.toggle("over", depth > 0);
  };
  form.addEventListener("dragenter", (event) => { event.preventDefault(); over(1); });
  form.addEventListener("dragleave", () => over(-1));
  form.addEventListener("dragover", (event) => event.preventDefault());
  form.addEventListener("drop", async (event) => {
    event.preventDefault();
    over(-depth);
    try {
      add(await dropped(event.dataTransfer));
    } catch {
      tell("What was dropped could not be read. Choose the files or the folder with the buttons.");
    }
  });

  // Registering, then sending.

  const errorsOf = (problem) => {
    let first = null;
    for (const it of problem.errors || []) {
      const name = it.where.replace("body.", "").split(".")[0];
      const place = form.querySelector(`[data-error="${name}"]`);
      const field = form.elements[name];
      if (!place || !field) continue;
      place.textContent = it.message;
      field.setAttribute("aria-invalid", "true");
      first = first || field;
    }
    if (first) first.focus();
    return Boolean(first);
  };

  const clearErrors = () => {
    tell("");
    for (const it of form.querySelectorAll("[data-error]")) it.textContent = "";
    for (const it of form.querySelectorAll("[aria-invalid]")) it.removeAttribute("aria-invalid");
  };

  const asked = () => {
    const { class_name: name, course, language, expected_essay_count: expected, deadline } =
      form.elements;
    const errors = [];
    if (!expected.validity.valid) {
      const message = `Give a whole number from 1 to ${expected.max}, or nothing.`;
      errors.push({ where: "expected_essay_count", message });
    }
    if (deadline.validity.badInput) {
      errors.push({ where: "deadline", message: "Give day and time, or neither." });
    } else if (deadline.value && isNaN(new Date(deadline.value))) {
      errors.push({ where: "deadline", message: "Give a year of four digits." });
    } else if (deadline.value && new Date(deadline.value) <= new Date()) {
      errors.push({ where: "deadline", message: "Give a moment that is still to come." });
    }
    if (errorsOf({ errors })) return null;
    return {
      class_name: name.value.trim(),
      course: course.value.trim(),
      language: language.value,
      expected_essay_count: expected.value ? Number(expected.value) : null,
      deadline: deadline.value ? new Date(deadline.value).toISOString() : null,
    };
  };

  const register = async () => {
    const wanted = doubt ?? asked();
    if (!wanted) return false;
    // What is asked for is what stands there until it is known what became of it.
    part.about.disabled = true;
    const answer = await upload.register(wanted, registerKey, tell);
    tell("");
    if (upload.isOpen(answer)) {
      doubt = wanted;
    } else if (answer.status !== 401 && answer.status !== 403) {
      // Whoever is turned away at the door learns nothing of what was asked before.
      doubt = null;
      registerKey = upload.randomId();
    }
    part.about.disabled = Boolean(doubt);
    if (answer.status !== 201) {
      const why = answer.status === 0 ? "The server cannot be reached." : upload.sentence(answer);
      if (!errorsOf(answer.body)) tell(doubt ? `${why} ${IN_DOUBT}` : why);
      return false;
    }
    batch = { id: answer.body.batch_id, correlationId: answer.body.correlation_id };
    part.about.disabled = true;
    part.link.href = `/batches/${batch.id}`;
    return true;
  };

  const report = {
    sending: (entry) => set(entry, "sending", "Being sent"),
    progress: (entry, share) => {
      entry.item.querySelector("progress").value = share;
      if (share >= 1) entry.item.querySelector(".state").textContent = "Sent, waiting for the receipt";
    },
    waiting: (entry, text) => {
      entry.item.querySelector("progress").value = 0;
      entry.item.querySelector(".state").textContent = text;
    },
    failed: (entry, text) => {
      set(entry, "failed", `Not kept: ${text}`);
      show();
    },
    result: (entry, result) => {
      const [state, text] = KEPT[result.status](result);
      set(entry, state, text);
      show();
    },
  };

  const showBatches = async () => {
    const list = document.querySelector("[data-batches]");
    if (!list) return;
    const answer = await fetch("/", { headers: { Accept: "text/html" }, redirect: "manual" });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    window.huleedu.local(page);
    list.replaceWith(page.querySelector("[data-batches]"));
  };

  const send = async () => {
    if (sending) return;
    clearErrors();
    sending = true;
    show();
    try {
      if (batch || (await register())) {
        const waiting = () => [...entries.values()].filter((it) => it.state === "waiting");
        for (let some = waiting(); some.length; some = waiting()) {
          await upload.files(batch, some, report);
        }
        document.dispatchEvent(new CustomEvent("handed-in"));
        showBatches().catch(() => {});
      }
    } catch {
      for (const it of entries.values()) {
        if (it.state === "sending") set(it, "failed", "It is not known whether this file was kept.");
      }
      tell("Something went wrong on this page. " +
        "Load it again and hand in what is not marked as kept.");
    }
    sending = false;
    const focused = document.activeElement === part.submit;
    for (const it of entries.values()) set(it, it.state, it.item.querySelector(".state").textContent);
    show();
    const lost = part.submit.hidden || (focused && part.submit.disabled);
    if (lost) following().focus({ preventScroll: true });
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (sending) return;
    if (!count("waiting")) for (const it of retryable()) set(it, "waiting", "");
    send();
  });
  // Beside the form, a browser would open what is dropped in the place of this page.
  for (const name of ["dragover", "drop"]) {
    window.addEventListener(name, (event) => event.preventDefault());
  }
  window.addEventListener("beforeunload", (event) => {
    if (sending) event.preventDefault();
  });
  show();
}
