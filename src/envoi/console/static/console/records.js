// Cells of a list: arrows move between them, Enter or a double click edits, Enter keeps, Escape leaves.
"use strict";
(() => {
  const table = () => document.querySelector("table.recs[data-edit]");
  const cells = () => [...(table()?.querySelectorAll("tbody [data-name]") ?? [])];
  const address = (cell) => {
    const t = table(), row = cell.closest("tr");
    return `${t.dataset.base}${row.dataset.key}/cell/${cell.dataset.name}?${t.dataset.query}`;
  };
  // One tab stop for all cells.
  const rove = () => {
    const all = cells();
    all.forEach((cell) => { if (!cell.hasAttribute("tabindex")) cell.tabIndex = -1; });
    if (all.length && !all.some((cell) => cell.tabIndex === 0)) all[0].tabIndex = 0;
  };
  const go = (cell) => {
    if (!cell) return;
    cells().forEach((each) => { each.tabIndex = -1; });
    cell.tabIndex = 0;
    cell.focus();
  };
  const neighbour = (cell, key) => {
    if (key === "ArrowRight" || key === "ArrowLeft") {
      const own = [...cell.closest("tr").querySelectorAll("[data-name]")];
      return own[own.indexOf(cell) + (key === "ArrowRight" ? 1 : -1)];
    }
    const row = cell.closest("tr")[key === "ArrowDown" ? "nextElementSibling" : "previousElementSibling"];
    return row?.querySelector(`[data-name="${CSS.escape(cell.dataset.name)}"]`);
  };
  const before = new WeakMap();
  const edit = async (cell) => {
    if (!cell || cell.hasAttribute("data-editing")) return;
    document.querySelectorAll("[data-editing]").forEach(leave);
    before.set(cell, cell.innerHTML);
    cell.setAttribute("data-editing", "");
    await htmx.ajax("GET", address(cell), { target: cell, swap: "innerHTML" });
    const field = cell.querySelector("input, select, textarea");
    if (!field) { leave(cell); return; }
    field.focus();
    field.select?.();
  };
  const leave = (cell) => {
    cell.innerHTML = before.get(cell) ?? cell.innerHTML;
    cell.removeAttribute("data-editing");
  };
  const keep = async (cell) => {
    const row = cell.closest("tr"), id = row.id, name = cell.dataset.name;
    const field = cell.querySelector("input, select, textarea");
    const values = {
      value: field.value,
      seen: cell.querySelector("[data-seen]").dataset.seen,
      csrfmiddlewaretoken: document.querySelector("[data-csrf]").dataset.csrf,
    };
    if (cell.querySelector("[data-confirm]:checked")) values.confirm = "1";
    await htmx.ajax("POST", address(cell), { target: row, swap: "outerHTML", values });
    const now = document.getElementById(id)?.querySelector(`[data-name="${CSS.escape(name)}"]`);
    if (now?.hasAttribute("data-editing")) now.querySelector("input, select, textarea")?.focus();
    else go(now);
  };
  document.addEventListener("dblclick", ({ target }) => {
    if (!target.closest("a, input, select, textarea")) edit(target.closest(".recs[data-edit] [data-name]"));
  });
  document.addEventListener("keydown", (event) => {
    const cell = event.target.closest?.(".recs[data-edit] [data-name]");
    if (!cell || event.ctrlKey || event.metaKey || event.altKey) return;
    if (cell.hasAttribute("data-editing")) {
      if (event.key === "Escape") { event.preventDefault(); leave(cell); go(cell); }
      else if (event.key === "Enter" && !(event.shiftKey && event.target.tagName === "TEXTAREA")) {
        event.preventDefault();
        keep(cell);
      }
      return;
    }
    if (event.target !== cell) return;
    if (event.key === "Enter" || event.key === "F2") { event.preventDefault(); edit(cell); }
    else if (/^Arrow/.test(event.key)) { event.preventDefault(); go(neighbour(cell, event.key)); }
  });
  document.addEventListener("htmx:afterSettle", rove);
  rove();
})();
