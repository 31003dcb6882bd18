// Arrow keys in the heat map: arrows move, Shift and an arrow goes on to the next cell that is not empty, Ctrl and
// an arrow goes to the day before or after. One cell is in the order of the Tab key, the one last visited.
"use strict";
(() => {
  const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  const table = document.querySelector("table.heat");
  if (!table) return;
  const grid = [...table.tBodies[0].rows].map((row) => [...row.querySelectorAll("td")].map((td) => td.firstElementChild));
  const cells = grid.flat();
  const filled = (cell) => cell.matches("a");
  let current = cells.find((cell) => cell.getAttribute("aria-current")) || cells.find(filled) || cells[0];
  const visit = (cell) => {
    current.tabIndex = -1;
    current = cell;
    current.tabIndex = 0;
  };
  cells.forEach((cell) => { cell.tabIndex = -1; });
  current.tabIndex = 0;
  table.addEventListener("focusin", (event) => { if (cells.includes(event.target)) visit(event.target); });
  table.addEventListener("keydown", (event) => {
    const step = steps[event.key];
    if (!step || event.altKey || event.metaKey) return;
    event.preventDefault();
    if (event.ctrlKey) {
      const link = document.getElementById(step[0] + step[1] < 0 ? "day-before" : "day-after");
      if (link) location.assign(`${link.href}#keys`);
      return;
    }
    let row = grid.findIndex((each) => each.includes(current));
    let column = grid[row].indexOf(current);
    do {
      row += step[0];
      column += step[1];
      if (step[1] && (column < 0 || column > 11)) {
        row += step[1];
        column = (column + 12) % 12;
      }
      if (!grid[row]) return;
    } while (event.shiftKey && !filled(grid[row][column]));
    grid[row][column].focus();
  });
  // No element has that name: going to one would take the focus away again.
  if (location.hash === "#keys") current.focus();
})();
