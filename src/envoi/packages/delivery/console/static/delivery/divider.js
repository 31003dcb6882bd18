// A divider between two panes: moved by the pointer or the arrow keys, its place remembered by this browser.
"use strict";
(() => {
  // pane: the one whose share of the whole, in per cent, the divider sets; `from` is the side where it lies.
  window.envoiDivider = (divider, whole, name, { from = "start", start = 50, moved = () => {} } = {}) => {
    const key = `envoi.pane:${name}`;
    let share = start;
    const set = (next, stored = true) => {
      share = Math.round(Math.min(80, Math.max(20, next)));
      whole.style.setProperty("--share", String(share));
      divider.setAttribute("aria-valuenow", String(share));
      moved();
      if (!stored) return;
      try {
        localStorage.setItem(key, String(share));
      } catch { /* it is as it was the next time */ }
    };
    try {
      set(Number(localStorage.getItem(key)) || start, false);
    } catch {
      set(start, false);
    }
    divider.hidden = false;
    divider.addEventListener("pointerdown", (down) => {
      down.preventDefault();
      divider.setPointerCapture(down.pointerId);
      whole.classList.add("moving");
      const follow = ({ clientX }) => {
        const before = divider.previousElementSibling.getBoundingClientRect().left;
        const after = divider.nextElementSibling.getBoundingClientRect().right;
        const at = (100 * (clientX - before)) / (after - before);
        set(from === "start" ? at : 100 - at);
      };
      divider.addEventListener("pointermove", follow);
      divider.addEventListener("lostpointercapture", () => {
        divider.removeEventListener("pointermove", follow);
        whole.classList.remove("moving");
      }, { once: true });
    });
    divider.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -4, ArrowRight: 4 }[event.key];
      if (!step) return;
      event.preventDefault();
      set(share + (from === "start" ? step : -step));
    });
  };
})();
