// The editor of conditions: what is typed stands in the field of its form at once, as the rows of the editor.
"use strict";
(() => {
  if (window.envoiConditions) return;
  window.envoiConditions = true;
  const box = (part) => part.closest?.(".conds");
  const rowOf = (part) => part.closest("[data-row]");

  const said = (row) => {
    const found = {};
    for (const part of row.querySelectorAll("[data-part]")) {
      if (rowOf(part) !== row) continue;
      const { part: name, index } = part.dataset;
      if (name === "values") {
        found.values ||= [];
        if (part.type !== "checkbox") found.values[index] = part.value;
        else if (part.checked) found.values.push(part.value);
      } else found[name] = name === "kept" ? JSON.parse(part.value) : part.value;
    }
    if (/group|has/.test(row.dataset.row))
      found.rows = [...row.querySelectorAll("[data-row]")].filter((each) => rowOf(each.parentElement) === row).map(said);
    return found;
  };
  const keep = (editor) => {
    const top = editor.querySelector("[data-row]"), field = document.getElementById(`${editor.id}-text`);
    if (top) field.value = JSON.stringify({ schema: editor.dataset.schema, ...said(top) });
    refresh(editor);
  };
  const refresh = (editor) => {
    const count = document.getElementById(`${editor.id}-count`);
    if (count) htmx.trigger(count, "refresh");
    editor.dispatchEvent(new CustomEvent("conditions", { bubbles: true }));
  };

  // Before htmx hears of it: what it sends is then what is seen.
  for (const kind of ["input", "change"])
    document.addEventListener(kind, ({ target }) => { if (target.dataset?.part && box(target)) keep(box(target)); }, true);
  // Another operator may take another input.
  document.addEventListener("change", ({ target }) => {
    const form = target.dataset?.form && box(target) && target.selectedOptions[0].dataset.form;
    if (form && form !== target.dataset.form) htmx.trigger(target, "redraw");
  });

  // What was typed while rows were drawn anew is not lost: they are asked for again.
  const text = (editor) => document.getElementById(`${editor.id}-text`).value;
  document.addEventListener("htmx:beforeRequest", ({ detail }) => {
    if (box(detail.elt)) detail.requestConfig.said = text(box(detail.elt));
  });
  document.addEventListener("htmx:beforeSwap", ({ detail }) => {
    const { said: then, elt: asked, triggeringEvent: event } = detail.requestConfig;
    if (!detail.target.classList?.contains("conds-box")) return;
    if (event && then !== text(box(detail.target))) {
      detail.shouldSwap = false;
      setTimeout(() => htmx.trigger(asked, event.type));
      return;
    }
    // A list of fields that was opened meanwhile stays open.
    const open = detail.target.querySelector(".pick[open]");
    reopen = open && !open.contains(asked) ? open.querySelector("summary").id : "";
  });
  let reopen = "";

  document.addEventListener("htmx:afterSettle", ({ detail }) => {
    const editor = detail.target.closest?.(".conds, .pick");
    if (!editor) return;
    const next = editor.querySelector("[data-focus], [data-search]:not([data-seen])");
    if (next) {
      next.dataset.seen = "1";
      delete next.dataset.focus;
      next.focus();
    }
    if (!detail.target.classList.contains("conds-box")) return;
    const list = reopen && document.getElementById(reopen);
    if (list) list.parentElement.open = true;
    refresh(editor);
  });

  // A list of fields is asked for when it opens, and again when its row was drawn anew.
  document.addEventListener("toggle", ({ target }) => {
    const empty = target.open && target.querySelector(':scope > [hx-trigger^=fill]:empty');
    if (empty) htmx.trigger(empty, "fill");
  }, true);

  // A list of fields closes by Escape, by a choice, and by a click elsewhere.
  const shut = (list, back) => { list.open = false; if (back) list.querySelector("summary").focus(); };
  document.addEventListener("keydown", (event) => {
    const list = event.key === "Escape" && event.target.closest?.(".pick[open]");
    if (list) { event.preventDefault(); shut(list, true); }
  });
  document.addEventListener("click", (event) => {
    const { target } = event;
    document.querySelectorAll(".pick[open]").forEach((list) => { if (!list.contains(target)) shut(list); });
    const row = rowOf(target), field = row?.querySelector("textarea[data-part=expr]");
    if (target.dataset.caret && field) { field.focus(); field.setSelectionRange(+target.dataset.caret, +target.dataset.caret + 1); }
    const put = target.closest("[data-insert]");
    if (!put) return;
    const into = field || document.getElementById(put.closest("[data-into]").dataset.into);
    // Columns and order are one a line.
    if (field) into.setRangeText(put.dataset.insert, into.selectionStart, into.selectionEnd, "end");
    else into.value = `${into.value.trimEnd()}\n${put.dataset.insert}`.trim();
    into.dispatchEvent(new Event("input", { bubbles: true }));
    if (field) into.focus();
    else shut(put.closest(".pick"), true);
  });
})();
