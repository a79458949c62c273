// What every page does: moments in the reader's own time, and ages that grow.
"use strict";

window.huleedu = (() => {
  const STEPS = [[60, 1, "s"], [3600, 60, "min"], [86400, 3600, "h"]];
  let ahead = 0;

  const age = (seconds) => {
    const whole = Math.max(0, Math.floor(seconds));
    const step = STEPS.find(([below]) => whole < below);
    if (step) return `${Math.floor(whole / step[1])} ${step[2]}`;
    const days = Math.floor(whole / 86400);
    return days === 1 ? "1 day" : `${days} days`;
  };

  const grow = () => {
    for (const it of document.querySelectorAll("[data-since]")) {
      it.textContent = age((Date.now() + ahead - Date.parse(it.dataset.since)) / 1000);
    }
  };

  const local = (root) => {
    const form = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
    for (const it of root.querySelectorAll("time[data-local]")) {
      it.title = it.textContent;
      it.textContent = form.format(new Date(it.dateTime));
      it.removeAttribute("data-local");
    }
    // The server's clock counts, whatever this one says.
    const now = root.querySelector("[data-now]");
    if (now) ahead = Date.parse(now.dataset.now) - Date.now();
  };

  const size = (bytes) => {
    if (bytes < 1000) return bytes === 1 ? "1 byte" : `${bytes} bytes`;
    return bytes < 999500 ? `${Math.round(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
  };

  const HIDDEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/u;
  const isJoined = (it) => it > "\x7f" && /[\p{L}\p{M}\p{S}]/u.test(it);
  const isSeen = (it, index, all) => {
    if (it !== "\u200c" && it !== "\u200d") return !HIDDEN.test(it);
    return isJoined(all[index - 1]) && isJoined(all[index + 1]);
  };

  // What is not seen, or turns the direction of writing, is written out; the joiners that Persian
  // words and composed emoji are written with stay where they join, as in domain/file_names.py.
  const visible = (name) =>
    [...name].map((it, index, all) => (isSeen(it, index, all)
      ? it
      : `[U+${it.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}]`)).join("");

  const csrf = () => document.querySelector('meta[name="csrf-token"]').content;

  local(document);
  setInterval(grow, 1000);
  return { local, csrf, size, visible };
})();
