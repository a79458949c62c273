// The page of a batch follows its batch: a stream tells that something changed, and the changing
// part is fetched as the server renders it.
"use strict";

(() => {
  const root = document.querySelector("[data-live]");
  const said = document.querySelector("[data-announce]");
  const lost = document.querySelector("[data-lost]");
  const POLL_MS = 5000;
  const PATIENCE_MS = 30_000;
  let source = null;
  let timer = 0;
  let retry = 0;
  let busy = false;
  let again = false;

  const key = (node) => (node.nodeType === Node.ELEMENT_NODE && node.id) || "";

  // Changes `from` into `to` and keeps the elements that are in both, so that focus, what was
  // typed and what was opened stay.
  const morph = (from, to) => {
    for (const { name } of [...from.attributes]) {
      if (!to.hasAttribute(name) && name !== "open") from.removeAttribute(name);
    }
    for (const { name, value } of to.attributes) {
      if (from.getAttribute(name) !== value) from.setAttribute(name, value);
    }
    morphChildren(from, to);
  };

  const alike = (a, b) =>
    a.nodeType === b.nodeType && a.nodeName === b.nodeName && key(a) === key(b);

  const removed = (node) => {
    const next = node.nextSibling;
    node.remove();
    return next;
  };

  const morphChildren = (from, to) => {
    const keyed = new Map([...from.children].filter(key).map((it) => [key(it), it]));
    const kept = new Set([...to.children].map(key).filter(Boolean));
    let at = from.firstChild;
    for (const wanted of [...to.childNodes]) {
      const found = key(wanted) ? keyed.get(key(wanted)) : null;
      // What stands before it and is wanted no more goes first: what is moved loses the focus.
      while (found && found !== at && !kept.has(key(at))) at = removed(at);
      if (found && found !== at) from.insertBefore(found, at);
      const here = found || at;
      if (here && alike(here, wanted)) {
        if (here.nodeType === Node.ELEMENT_NODE) morph(here, wanted);
        else if (here.data !== wanted.data) here.data = wanted.data;
        at = here.nextSibling;
      } else {
        from.insertBefore(wanted, at);
      }
    }
    while (at) at = removed(at);
  };

  const tell = (text) => {
    lost.hidden = !text;
    lost.textContent = text;
  };

  const later = (text) => {
    tell(text);
    clearTimeout(retry);
    retry = setTimeout(refresh, POLL_MS);
  };

  const refresh = async () => {
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    try {
      // Who is signed out is sent to another page, which is not a part of this one.
      const answer = await fetch(root.dataset.live, {
        headers: { Accept: "text/html" },
        redirect: "manual",
        // Older browsers have no such signal, and wait as long as their connection does.
        signal: AbortSignal.timeout?.(PATIENCE_MS),
      });
      if (answer.type === "opaqueredirect" || [401, 403, 404].includes(answer.status)) {
        stop();
        tell("This page cannot follow the batch any more. Load it again; you may be signed out.");
      } else if (!answer.ok) {
        later("The server cannot tell about the batch now. This page goes on trying.");
      } else {
        const fresh = document.createElement("div");
        fresh.innerHTML = await answer.text();
        window.huleedu.local(fresh);
        morphChildren(root, fresh);
        tell("");
        const standing = root.querySelector("[data-say]");
        if (said.textContent !== standing.dataset.say) said.textContent = standing.dataset.say;
        if (settled()) stop();
      }
    } catch {
      later("The server cannot be reached. What is shown may be old; this page goes on trying.");
    }
    busy = false;
    if (again) {
      again = false;
      refresh();
    }
  };

  const settled = () => root.querySelector("[data-settled]").dataset.settled === "1";

  const stop = () => {
    if (source) source.close();
    source = null;
    clearInterval(timer);
    timer = 0;
  };

  const follow = () => {
    if (source || timer) return;
    source = new EventSource(root.dataset.stream);
    source.addEventListener("batch", refresh);
    source.addEventListener("settled", () => {
      stop();
      refresh();
    });
    source.addEventListener("error", () => {
      if (source && source.readyState === EventSource.CLOSED) {
        source = null;
        timer = setInterval(refresh, POLL_MS);
      }
      refresh();
    });
  };

  if (!settled()) follow();
  document.addEventListener("handed-in", () => {
    refresh().then(follow);
  });
})();
