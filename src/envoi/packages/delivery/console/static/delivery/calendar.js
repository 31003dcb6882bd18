// In the calendar arrows go from day to day: along the week, up and down between weeks.
"use strict";
document.addEventListener("keydown", (event) => {
  const here = event.target.closest?.(".cal .dn");
  const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 7, ArrowUp: -7 }[event.key];
  if (!here || !by || event.ctrlKey || event.metaKey || event.altKey) return;
  const all = [...document.querySelectorAll(".cal .dn")];
  const step = getComputedStyle(here).direction === "rtl" && Math.abs(by) === 1 ? -by : by;
  const next = all[all.indexOf(here) + step];
  event.preventDefault();
  if (next) next.focus();
  else document.querySelector(step > 0 ? "[rel=next]" : "[rel=prev]")?.focus();
});
