// Sends files in small requests, each safe to send again, and tells what became of every file.
// Nothing is called kept here before the server's receipt says so.
"use strict";

window.huleedu.upload = (() => {
  const MOST_FILES = 10;
  const MOST_BYTES = 20e6;
  const LOST_TRIES = 4;
  const LONGEST_WAIT_SECONDS = 120;
  const PATIENCE_SECONDS = 600;
  const STALLED_MS = 90_000;

  const sleep = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));

  // Not randomUUID, which browsers offer over HTTPS and on this machine only.
  const randomId = () =>
    [...crypto.getRandomValues(new Uint8Array(16))]
      .map((it) => it.toString(16).padStart(2, "0"))
      .join("");

  const percent = (path) =>
    encodeURIComponent(path.toWellFormed ? path.toWellFormed() : path).replace(/['()*]/g, (it) =>
      `%${it.charCodeAt(0).toString(16)}`);

  // Written by hand, since FormData would send another name for a file with quotation marks.
  const formOf = (batchId, entries) => {
    const boundary = `huleedu-${randomId()}`;
    const head = `--${boundary}\r\nContent-Disposition: form-data; name=`;
    const pieces = [`${head}"batch_id"\r\n\r\n${batchId}\r\n`];
    const ends = [];
    for (const it of entries) {
      pieces.push(`${head}"files"; filename*=UTF-8''${percent(it.path)}\r\n\r\n`, it.file, "\r\n");
      ends.push(new Blob(pieces).size);
    }
    pieces.push(`--${boundary}--\r\n`);
    return { body: new Blob(pieces), type: `multipart/form-data; boundary=${boundary}`, ends };
  };

  const grouped = (entries) => {
    const groups = [];
    let group = [];
    let bytes = 0;
    for (const it of entries) {
      if (group.length && (group.length >= MOST_FILES || bytes + it.file.size > MOST_BYTES)) {
        groups.push({ key: randomId(), entries: group });
        group = [];
        bytes = 0;
      }
      group.push(it);
      bytes += it.file.size;
    }
    if (group.length) groups.push({ key: randomId(), entries: group });
    return groups;
  };

  const json = (text) => {
    try {
      return JSON.parse(text);
    } catch {
      return {};
    }
  };

  // Gives the status, 0 when no answer came, the body and how long to wait.
  const ask = ({ url, headers, body, onProgress }) =>
    new Promise((done) => {
      const request = new XMLHttpRequest();
      request.open("POST", url);
      request.setRequestHeader("X-CSRF-Token", window.huleedu.csrf());
      for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
      // Large files may take as long as they need, as long as something moves.
      let stalled = setTimeout(() => request.abort(), STALLED_MS);
      request.upload.onprogress = (event) => {
        clearTimeout(stalled);
        stalled = setTimeout(() => request.abort(), STALLED_MS);
        if (onProgress) onProgress(event.loaded);
      };
      request.onloadend = () => clearTimeout(stalled);
      request.onload = () => {
        const wait = Number(request.getResponseHeader("Retry-After")) || 5;
        done({
          status: request.status,
          body: json(request.responseText),
          wait: Math.min(wait, LONGEST_WAIT_SECONDS),
        });
      };
      request.onerror = request.onabort = () => done({ status: 0, body: {}, wait: 0 });
      request.send(body);
    });

  const isBusy = (answer) =>
    answer.status === 429 || answer.status === 503 ||
    (answer.status === 409 && answer.body.code === "REQUEST_IN_PROGRESS");

  const sentence = (answer) => {
    if (answer.status === 401) return "You are signed out. Load the page again and sign in.";
    const { detail, next_step: next } = answer.body;
    return detail ? `${detail} ${next || ""}`.trim() : "The server gave no answer that can be read.";
  };

  // Whether an answer leaves open what became of the request.
  const isOpen = (answer) => answer.status === 0 || answer.status >= 500 || isBusy(answer);

  // Seconds that a busy server was waited for in a row, over all requests of one handing in: when
  // they are used up, each request that is left is asked once.
  let waited = 0;

  // Asks until there is an answer, the connection was lost too often or patience is at its end.
  const insist = async (request, onWait) => {
    let lost = 0;
    for (;;) {
      const answer = await ask(request);
      const busy = isBusy(answer);
      if (answer.status !== 0 && !busy) {
        waited = 0;
        return answer;
      }
      if (busy ? waited >= PATIENCE_SECONDS : ++lost > LOST_TRIES) return answer;
      const seconds = busy ? answer.wait : 2 ** (lost - 1);
      if (busy) waited += seconds;
      const why = busy ? sentence(answer) : "The connection was lost.";
      onWait(`${why} Trying again in ${Math.ceil(seconds)} s.`);
      await sleep(seconds);
    }
  };

  const sendGroup = async (batch, group, on) => {
    const { body, type, ends } = formOf(batch.id, group.entries);
    const request = {
      url: "/v1/files/batch",
      headers: {
        "Content-Type": type,
        "Idempotency-Key": group.key,
        ...(batch.correlationId ? { "X-Correlation-ID": batch.correlationId } : {}),
      },
      body,
      onProgress: (loaded) => {
        let begin = 0;
        group.entries.forEach((it, index) => {
          on.progress(it, Math.min(1, Math.max(0, (loaded - begin) / (ends[index] - begin))));
          begin = ends[index];
        });
      },
    };
    for (const it of group.entries) on.sending(it);
    const answer = await insist(request, (text) => {
      for (const it of group.entries) on.waiting(it, text);
    });
    const results = answer.body.files || [];
    if ((answer.status === 201 || answer.status === 207) && results.length === group.entries.length) {
      group.entries.forEach((it, index) => on.result(it, results[index]));
    } else if (answer.status === 0 && group.entries.length > 1) {
      // One file that cannot be read any more breaks off the request of all: each by itself.
      for (const it of group.entries) {
        await sendGroup(batch, { key: randomId(), entries: [it] }, on);
      }
    } else {
      const text = answer.status === 0
        ? "The connection was lost, or the file was moved or changed meanwhile."
        : sentence(answer);
      for (const it of group.entries) on.failed(it, text);
    }
  };

  // One request at a time, so that essays get their slots in the order of the list.
  const files = async (batch, entries, on) => {
    waited = 0;
    for (const group of grouped(entries)) await sendGroup(batch, group, on);
  };

  const register = (asked, key, onWait) => {
    waited = 0;
    return insist({
      url: "/v1/batches/register",
      headers: { "Content-Type": "application/json", "Idempotency-Key": key },
      body: JSON.stringify(asked),
    }, onWait);
  };

  return { files, register, randomId, sentence, isOpen };
})();
