// One text at a time, and Escape puts a suggestion away.
"use strict";

(() => {
  const tabs = [...document.querySelectorAll("[data-tab]")];
  const show = (name) => {
    for (const it of document.querySelectorAll("[data-panel]")) it.hidden = it.id !== name;
    for (const it of tabs) {
      if (it.dataset.tab === name) it.setAttribute("aria-current", "true");
      else it.removeAttribute("aria-current");
    }
  };
  for (const it of tabs) {
    it.addEventListener("click", (event) => {
      event.preventDefault();
      show(it.dataset.tab);
    });
  }
  if (tabs.length) show(location.hash === "#corrected" ? "corrected" : "as-written");

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const it of document.querySelectorAll(".flag")) it.classList.add("dismissed");
  });
  const again = (event) => {
    const flag = event.target.closest?.(".flag");
    if (flag) flag.classList.remove("dismissed");
  };
  document.addEventListener("focusin", again);
  document.addEventListener("pointerover", again);
})();
