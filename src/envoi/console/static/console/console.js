// What the console does beside htmx: live regions, the dialog, keys. Everything works without it, only less quickly.
"use strict";
(() => {
  const every = 2000, silence = 10000;
  const root = document.documentElement;
  let lastTruth = Date.now(), held = null;

  // Live regions: asked while the page is visible, with the version of what they show; 304 costs next to nothing.
  const regions = () => document.querySelectorAll("[data-live]");
  const ask = () => {
    if (document.hidden) return;
    regions().forEach((region) => htmx.trigger(region, "live"));
    if (regions().length && Date.now() - lastTruth > silence) lose();
  };
  setInterval(ask, every);
  document.addEventListener("visibilitychange", () => { lastTruth = Date.now(); ask(); });

  const sign = () => document.getElementById("live");
  const lose = () => {
    const s = sign();
    if (!s || s.dataset.lost) return;
    s.dataset.lost = "1";
    s.textContent = s.dataset.lostText.replace("{time}", s.dataset.time || "—");
    regions().forEach((region) => region.classList.add("stale"));
  };
  const heard = (time) => {
    lastTruth = Date.now();
    const s = sign();
    if (!s) return;
    delete s.dataset.lost;
    regions().forEach((region) => region.classList.remove("stale"));
    if (time) { s.dataset.time = time; s.textContent = s.dataset.liveText.replace("{time}", time); }
  };
  document.addEventListener("htmx:configRequest", ({ detail }) => {
    const region = detail.elt;
    if (region.dataset && region.dataset.live && region.dataset.etag && detail.triggeringEvent?.type === "live")
      detail.headers["If-None-Match"] = region.dataset.etag;
  });
  document.addEventListener("htmx:beforeSwap", ({ detail }) => {
    const region = detail.target;
    if (!region?.dataset?.live || detail.xhr.status !== 200) return;
    // Rows do not jump under the pointer or the focus: a bar says how many changed their place.
    if (region.matches(":hover, :focus-within") && held !== "show" && detail.requestConfig.triggeringEvent?.type === "live") {
      const next = new DOMParser().parseFromString(detail.xhr.responseText, "text/html");
      const ids = (part) => [...part.querySelectorAll("tr[id]")].map((row) => row.id);
      const now = ids(region), then = ids(next);
      const moved = now.filter((id, at) => then[at] !== id).length || Math.abs(then.length - now.length);
      if (moved) { detail.shouldSwap = false; offer(moved); return; }
    }
    held = null;
    hideOffer();
    ticked = new Set([...region.querySelectorAll("tbody :checked")].map((box) => box.value));
  });
  document.addEventListener("htmx:afterRequest", ({ detail }) => {
    if (!detail.elt.dataset?.live && !detail.target?.dataset?.live) return;
    const { status } = detail.xhr;
    if (status === 304 || status === 200) heard(detail.xhr.getResponseHeader("Envoi-Time"));
  });
  // Ticks outlive a swap; their number stands beside the commands.
  let ticked = new Set();
  const boxes = () => [...document.querySelectorAll("#ticks tbody input")];
  const tick = () => { boxes().forEach((box) => { if (ticked.has(box.value)) box.checked = true; }); count(); };
  const count = () => {
    const n = document.getElementById("ticked"), all = document.getElementById("tick-all");
    if (n) n.textContent = boxes().filter((box) => box.checked).length;
    if (all) all.hidden = false;
  };
  document.addEventListener("change", ({ target }) => {
    if (target.id === "tick-all") boxes().forEach((box) => { box.checked = target.checked; });
    count();
  });
  count();
  const bar = () => document.getElementById("moved");
  const offer = (count) => {
    const b = bar();
    if (!b) return;
    b.hidden = false;
    b.textContent = b.dataset.text.replace("{n}", count);
  };
  const hideOffer = () => { const b = bar(); if (b) b.hidden = true; };
  document.addEventListener("click", (event) => {
    const { target } = event;
    if (target.id === "moved") { held = "show"; regions().forEach((region) => { delete region.dataset.etag; htmx.trigger(region, "live"); }); }
    if (target.closest("[data-close]")) { const d = target.closest("dialog"); if (d) { d.close(); event.preventDefault(); } }
  });

  // The dialog: filled by htmx from the address that is a page of its own without script.
  const dialog = () => document.getElementById("dialog");
  const open = (heading) => {
    const d = dialog();
    if (!d.open) d.showModal();
    (d.querySelector("[autofocus]") || d.querySelector("h2"))?.focus();
  };
  document.addEventListener("htmx:afterSwap", ({ detail }) => { if (detail.target.id === "dialog") open(); });

  // Keys. Single letters only outside fields, and only if they are switched on.
  let waiting = false;
  const rows = () => [...document.querySelectorAll("main tbody tr[id]")];
  const move = (step) => {
    const all = rows();
    if (!all.length) return;
    const at = all.findIndex((row) => row.contains(document.activeElement));
    const row = all[Math.min(Math.max(at + step, 0), all.length - 1)];
    row.querySelector("th a, a")?.focus();
  };
  document.addEventListener("keydown", (event) => {
    const find = document.getElementById("q") || document.getElementById("find");
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
      event.preventDefault();
      document.getElementById("find")?.click();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || root.dataset.keys === "off") return;
    if (event.target.closest("input, select, textarea, [contenteditable=true], dialog[open]")) return;
    if (waiting) {
      waiting = false;
      const word = document.querySelector(`#nav [data-key="${CSS.escape(event.key)}"]`);
      if (word) { event.preventDefault(); word.click(); }
      return;
    }
    if (event.key === "/") { event.preventDefault(); find?.id === "q" ? find.focus() : find?.click(); }
    else if (event.key === "g") { waiting = true; setTimeout(() => { waiting = false; }, 1500); }
    else if (event.key === "j") move(1);
    else if (event.key === "k") move(-1);
    else if (event.key === "x") document.activeElement.closest("tr")?.querySelector("input[type=checkbox]")?.click();
    else if (event.key === "?") {
      dialog().replaceChildren(document.getElementById("keys-help").content.cloneNode(true));
      open();
    }
  });

  // Which folders are open is kept in a cookie, which the server reads when it draws the tree.
  document.addEventListener("toggle", ({ target }) => {
    const tree = target.closest?.(".tree[data-memory]");
    if (!tree) return;
    const ids = [...tree.querySelectorAll("details[open]")].map((folder) => folder.dataset.folder).slice(0, 200);
    const secure = location.protocol === "https:" ? ";secure" : "";
    document.cookie = `${tree.dataset.memory}=${ids.join(".")};path=/;max-age=31536000;samesite=lax${secure}`;
  }, true);

  // In the tree, right opens a folder and left closes it.
  document.addEventListener("keydown", (event) => {
    const branch = event.target.closest?.(".tree a")?.nextElementSibling;
    if (branch && /^Arrow(Left|Right)$/.test(event.key)) { event.preventDefault(); branch.open = event.key === "ArrowRight"; }
  });

  // The diagram is one stop; arrows move between its activities.
  const rove = () => document.querySelectorAll("svg.wf").forEach((picture) => {
    const all = [...picture.querySelectorAll("a.act")];
    const stop = all.find((act) => act === document.activeElement) || picture.querySelector(".act.sel") || all[0];
    all.forEach((act) => act.setAttribute("tabindex", act === stop ? "0" : "-1"));
  });
  document.addEventListener("htmx:afterSettle", () => { rove(); tick(); });
  rove();
  document.addEventListener("keydown", (event) => {
    const here = event.target.closest?.(".wf a.act");
    if (!here || !event.key.startsWith("Arrow")) return;
    const name = here.dataset[{ ArrowRight: "right", ArrowLeft: "left", ArrowUp: "up", ArrowDown: "down" }[event.key]];
    const next = name && here.closest("svg").querySelector(`a.act[data-name="${CSS.escape(name)}"]`);
    if (!next) return;
    event.preventDefault();
    here.setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    next.focus();
  });
})();
