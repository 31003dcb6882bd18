// Drafts of what is written: in this browser, so that they outlive a closed tab and a server that does not answer.
// They are offered, never put in by themselves; the server refuses to keep one over a newer version that was not seen.
"use strict";
(() => {
  const LONGEST = 30 * 24 * 3600 * 1000;
  const taken = (key) => {
    try {
      return JSON.parse(localStorage.getItem(key));
    } catch {
      return null;
    }
  };
  const away = () => {
    for (const key of Object.keys(localStorage).filter((each) => each.startsWith("envoi.draft:"))) {
      if (!(Date.now() - Date.parse(taken(key)?.at) < LONGEST)) localStorage.removeItem(key);
    }
  };
  // read: what stands there, as an object of texts; write: put one in its place; at: the version that it began with.
  window.envoiDraft = ({ read, write, at }) => {
    const banner = document.querySelector("[data-draft]");
    const { key, version, mine, typed, zone } = banner.dataset;
    const same = (one, other) => JSON.stringify(Object.entries(one).sort()) === JSON.stringify(Object.entries(other).sort());
    let open = false;
    try {
      away();
    } catch {
      return { save() {}, drop() {}, sent() {} }; // a browser that stores nothing
    }
    const drop = () => localStorage.removeItem(key);
    const store = (values, more = {}) => {
      try {
        localStorage.setItem(key, JSON.stringify({ version: at(), at: new Date().toISOString(), values, ...more }));
      } catch { /* no room: what is there stays */ }
    };
    const choose = (restored) => {
      const { values, version: seen } = taken(key) ?? {};
      banner.hidden = true;
      open = false;
      if (restored && values) write(values, seen);
      else drop();
    };
    banner.querySelector("[data-draft-restore]").addEventListener("click", () => choose(true));
    banner.querySelector("[data-draft-discard]").addEventListener("click", () => choose(false));
    const draft = taken(key);
    if (draft && typed === undefined) {
      const kept = draft.sent && draft.version !== version && mine;
      if (kept || same(draft.values, read())) drop();
      else {
        const time = banner.querySelector("[data-draft-at]");
        time.dateTime = draft.at;
        time.textContent = new Date(draft.at).toLocaleString(document.documentElement.lang, { dateStyle: "long", timeStyle: "short", hourCycle: "h23", timeZone: zone });
        banner.querySelector("[data-draft-newer]").hidden = draft.version === version;
        banner.hidden = false;
        open = true;
      }
    }
    return {
      save: () => { if (!open) store(read()); },
      drop: () => { if (!open) drop(); },
      // A form is on its way: whether it has arrived is known when the page comes back.
      sent: () => { if (!open) store(read(), { sent: true }); },
    };
  };
})();
