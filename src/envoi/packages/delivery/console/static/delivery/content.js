// The content of a delivery: sources beside a preview that follows them; fields, blocks and conditions go where the
// caret is; a draft is kept by itself, and what is not kept is said.
"use strict";
(() => {
  const PAUSE = 700;
  const form = () => document.getElementById("content");
  let last = null;
  let unsaved = false;

  // ---- the preview follows ------------------------------------------------------------------------------
  let waiting = 0;
  let view = "phone";
  const pressed = () => form().querySelectorAll("[data-views] [name=view]").forEach((each) => each.setAttribute("aria-pressed", String(each.value === view)));
  // A frame of its own each time: what is shown stays until the next is there, and the way back gets no step.
  const shown = () => {
    clearTimeout(waiting);
    const old = document.querySelector("iframe.shown");
    const next = old.cloneNode();
    next.removeAttribute("src");
    next.name = `preview${Date.now()}`;
    next.classList.add("coming");
    old.after(next);
    next.addEventListener("load", () => {
      let place = "";
      try {
        place = next.contentWindow?.location.href;
      } catch { /* no answer of ours: what is shown stays */ }
      if (!next.isConnected || place === "about:blank") return;
      if (!place) {
        next.remove();
        return;
      }
      next.parentElement.querySelectorAll("iframe.shown").forEach((each) => { if (each !== next) each.remove(); });
      next.classList.remove("coming");
      next.name = "preview";
    });
    const show = form().querySelector("[data-show]");
    show.value = view;
    show.formTarget = next.name;
    form().requestSubmit(show);
  };
  const soon = () => {
    clearTimeout(waiting);
    waiting = setTimeout(shown, PAUSE);
  };

  // ---- sources ------------------------------------------------------------------------------------------
  const turn = (name) => {
    for (const each of document.querySelectorAll("[data-of]")) each.hidden = each.dataset.of !== name;
    for (const each of document.querySelectorAll("[data-source]")) each.setAttribute("aria-pressed", String(each.dataset.source === name));
    const area = document.getElementById(name === "html" ? "hs" : "ts");
    area.envoiCode?.refresh();
    if (!area.readOnly) last = area;
  };
  const insert = (into, mark) => {
    if (into.envoiCode) {
      into.envoiCode.replaceSelection(mark);
      into.envoiCode.focus();
      return;
    }
    into.focus();
    into.setRangeText(mark, into.selectionStart, into.selectionEnd, "end");
    into.dispatchEvent(new Event("input", { bubbles: true }));
  };

  // ---- drafts -------------------------------------------------------------------------------------------
  const OTHER = new Set(["csrfmiddlewaretoken", "who", "view", "variant", "version", "do", "settings"]);
  const fields = () => [...form().elements].filter((each) => each.name && !OTHER.has(each.name) && each.type !== "submit" && each.type !== "button");
  const read = () => Object.fromEntries(fields().map((each) => [each.name, each.type === "checkbox" ? String(each.checked) : each.value.replaceAll("\r\n", "\n")]));
  const write = (values, version) => {
    for (const each of fields()) {
      const value = values[each.name];
      if (value === undefined) continue;
      if (each.type === "checkbox") each.checked = value === "true";
      else if (each.envoiCode) each.envoiCode.setValue(value);
      else each.value = value;
    }
    form().elements.version.value = version;
    changed();
  };
  let draft = { save() {}, sent() {} };
  const changed = () => {
    unsaved = true;
    form().querySelectorAll("[data-unsaved]").forEach((each) => { each.hidden = false; });
    draft.save();
    soon();
  };

  const ready = () => {
    document.querySelectorAll("[data-inserter]").forEach((each) => { each.hidden = false; });
    const [html, text] = [document.getElementById("hs"), document.getElementById("ts")];
    window.envoiCode(html, "html");
    window.envoiCode(text, "text");
    document.querySelector("[data-sources]").hidden = false;
    document.querySelectorAll("[data-source]").forEach((each) => each.addEventListener("click", () => {
      turn(each.dataset.source);
      view = each.dataset.source === "text" ? "text" : view === "text" ? "phone" : view;
      pressed();
      shown();
    }));
    form().classList.add("live");
    turn("html");
    const split = document.querySelector("[data-split]");
    window.envoiDivider(split.querySelector("[data-divider]"), split, "content", { start: 56 });
    pressed();
    // What cannot be changed needs no draft.
    if (form().querySelector("button[name=do][value=content]")) draft = window.envoiDraft({ read, write, at: () => form().elements.version.value });
    // The server gave back what was typed: it is no more kept than before.
    if (document.querySelector("[data-draft][data-typed]")) changed();
  };
  document.addEventListener("focusin", ({ target }) => {
    const area = target.closest?.(".CodeMirror")?.previousElementSibling ?? target;
    if (area.matches?.("[data-inserts]")) last = area;
  });
  document.addEventListener("change", ({ target }) => {
    if (target.id === "wh") {
      soon();
      return;
    }
    if (!target.closest?.("[data-inserter]")) {
      if (form()?.contains(target) && target.matches("select, [type=checkbox]")) changed();
      return;
    }
    if (!target.value || !last) return;
    const mark = target.value;
    target.value = "";
    insert(last, mark);
  });
  document.addEventListener("input", ({ target }) => {
    // What a code editor is typed into is said by its text area.
    if (!form()?.contains(target) || target.id === "wh" || target.closest("[data-inserter], .CodeMirror")) return;
    changed();
  });
  document.addEventListener("click", (event) => {
    const line = event.target.closest?.("a[data-line]");
    const area = line && document.querySelector(line.getAttribute("href"));
    if (area?.envoiCode) {
      event.preventDefault();
      turn(area.id === "hs" ? "html" : "text");
      area.envoiCode.setCursor(Number(line.dataset.line) - 1, 0);
      area.envoiCode.focus();
      area.parentElement.scrollIntoView({ block: "center" });
      return;
    }
    const chosen = event.target.closest?.("[data-views] [name=view], [data-show]");
    // Ours says where it goes; a click of somebody has no frame yet.
    if (!chosen || !event.isTrusted) return;
    event.preventDefault();
    if (!chosen.matches("[data-show]")) view = chosen.value;
    pressed();
    shown();
  });
  document.addEventListener("submit", (event) => {
    if (event.target !== form() || event.submitter?.name !== "do") return;
    unsaved = false;
    if (event.submitter.value === "content") draft.sent();
  });
  addEventListener("beforeunload", (event) => { if (unsaved) event.preventDefault(); });
  // Enter keeps the content; where a reader is named, it shows the message.
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "s") {
      event.preventDefault();
      form().querySelector(".sfoot button[name=do][value=content]")?.click();
      return;
    }
    if (event.key !== "Enter" || event.target.id !== "wh") return;
    event.preventDefault();
    shown();
  });
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", ready);
  else ready();
})();
