// The content of a delivery: fields, blocks and conditions go where the caret is; what is not kept is said.
"use strict";
(() => {
  const form = () => document.getElementById("content");
  let last = null;
  const ready = () => {
    document.querySelectorAll("[data-inserter]").forEach((each) => { each.hidden = false; });
    last = document.getElementById("hs");
  };
  document.addEventListener("focusin", ({ target }) => {
    if (target.matches?.("[data-inserts]")) last = target;
  });
  document.addEventListener("change", ({ target }) => {
    if (!target.closest?.("[data-inserter]") || !target.value || !last) return;
    const mark = target.value;
    target.value = "";
    last.focus();
    last.setRangeText(mark, last.selectionStart, last.selectionEnd, "end");
    last.dispatchEvent(new Event("input", { bubbles: true }));
  });
  document.addEventListener("input", ({ target }) => {
    if (!form()?.contains(target) || target.id === "wh" || target.closest("[data-inserter]")) return;
    form().querySelectorAll("[data-unsaved]").forEach((each) => { each.hidden = false; });
  });
  // Enter keeps the content; where a reader is named, it shows the message.
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.target.id !== "wh") return;
    event.preventDefault();
    form().querySelector("[data-show]").click();
  });
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", ready);
  else ready();
})();
