// The source of a message beside the canvas: its MJML, which may be changed and applied, and the HTML that readers get.
"use strict";
(() => {
  const PAUSE = 600;
  // Elements that hold elements: between these, space means nothing, and each gets a line of its own.
  const HOLDERS = new Set([
    "mjml", "mj-head", "mj-attributes", "mj-body", "mj-wrapper", "mj-section", "mj-group", "mj-column", "mj-hero",
    "mj-social", "mj-navbar", "mj-accordion", "mj-accordion-element", "mj-carousel",
  ]);
  // Return the MJML of a message, indented, and where each element stands in it: [component, start, end].
  const spread = (root, written) => {
    const places = [];
    let text = "";
    const one = (component, depth) => {
      const tag = component.get("tagName");
      const start = text.length;
      const inner = component.components().models;
      if (HOLDERS.has(tag) && inner.length && inner.every((each) => each.get("tagName")?.startsWith("mj"))) {
        const [opening] = written(component, () => "\0").split("\0");
        text += `${opening}\n`;
        for (const each of inner) {
          text += "  ".repeat(depth + 1);
          one(each, depth + 1);
          text += "\n";
        }
        text += `${"  ".repeat(depth)}</${tag}>`;
      } else text += written(component);
      places.push([component, start, text.length]);
    };
    root.components().models.filter((each) => each.get("tagName")).forEach((each) => one(each, 0));
    return { text: `${text}\n`, places };
  };

  // editor: GrapesJS; written: a component as XML; check: asks the server about a source; t: texts by name.
  window.envoiSource = ({ editor, root, config, written, check, t, changed, applied }) => {
    const $ = (name) => root.querySelector(`[data-part="${name}"]`);
    const middle = $("middle");
    const [mjml, html] = [document.getElementById("vmj"), document.getElementById("vht")];
    const said = $("sourcesaid");
    const buttons = [$("sourceapply"), $("sourceback")].filter(Boolean);
    let [code, page] = [null, null];
    let places = [];
    let followed = "";
    let dirty = false;
    let overtaken = false;
    let part = "mjml";
    let waiting = 0;
    let marked = [];
    const shut = () => middle.hasAttribute("data-shut");
    const say = (text, bad = false, line = 0) => {
      said.textContent = text;
      said.classList.toggle("t-bad", bad);
      const go = $("sourceline");
      go.hidden = !line;
      go.textContent = t("atLine").replace("%n%", line);
      go.dataset.line = line;
    };
    const plain = () => {
      marked.forEach((each) => code.removeLineClass(each, "background"));
      marked = [];
    };
    const mark = (from, to, name) => {
      plain();
      for (let line = from; line <= to; line += 1) marked.push(code.addLineClass(line, "background", name));
      code.scrollIntoView({ from: { line: from, ch: 0 }, to: { line: Math.min(to, from + 12), ch: 0 } }, 40);
    };
    const set = (now) => {
      dirty = now;
      buttons.forEach((each) => { each.disabled = !now; });
    };
    const follow = () => {
      const made = spread(editor.getWrapper(), written);
      places = made.places;
      followed = made.text;
      if (code.getValue() !== made.text) {
        const { left, top } = code.getScrollInfo();
        code.setValue(made.text);
        code.scrollTo(left, top);
      }
      set(false);
      overtaken = false;
      plain();
      point();
    };
    const point = () => {
      const place = !dirty && code && places.find(([component]) => component === editor.getSelected());
      if (!place || code.hasFocus()) return;
      const [from, to] = [code.posFromIndex(place[1]), code.posFromIndex(place[2])];
      mark(from.line, to.line, "code-here");
    };
    // What the caret stands in is chosen on the canvas.
    const choose = () => {
      if (dirty || !code.hasFocus()) return;
      const at = code.indexFromPos(code.getCursor());
      const [found] = places.filter(([, from, to]) => from <= at && at <= to).sort((one, other) => one[2] - one[1] - (other[2] - other[1]));
      if (!found || found[0] === editor.getSelected() || !found[0].get("selectable")) return;
      editor.select(found[0]);
      editor.Canvas.scrollTo(found[0], { behavior: "auto" });
    };
    const readers = async () => {
      const answer = await check(dirty ? code.getValue() : written(editor.getWrapper()));
      if (part !== "html") return;
      if (answer.problem) say(answer.problem, true);
      else {
        say("");
        if (page.getValue() !== answer.html) page.setValue(answer.html);
      }
    };
    const refresh = () => {
      if (shut() || !code) return;
      if (part === "html") {
        clearTimeout(waiting);
        waiting = setTimeout(readers, PAUSE);
      } else if (!dirty) follow();
    };
    const apply = async () => {
      if (!dirty) return true;
      overtaken = false;
      const answer = await check(code.getValue());
      if (answer.problem) {
        say(answer.problem, true, answer.line);
        if (answer.line) mark(answer.line - 1, answer.line - 1, "code-wrong");
        return false;
      }
      set(false);
      editor.select(null);
      editor.setComponents(answer.mjml);
      follow();
      say(t("applied"));
      applied();
      return true;
    };
    const made = () => {
      if (code) return;
      code = window.envoiCode(mjml, "mjml");
      page = window.envoiCode(html, "html");
      code.addKeyMap({ "Ctrl-Enter": () => { apply(); }, "Cmd-Enter": () => { apply(); } });
      code.on("change", (_code, { origin }) => {
        if (origin === "setValue") return;
        if (!dirty) plain();
        set(true);
        say(t(overtaken ? "sourceBoth" : "sourceChanged"));
        changed();
      });
      code.on("cursorActivity", choose);
      window.envoiDivider(middle.querySelector("[data-divider]"), middle, "visual", { from: "end", start: 45, moved: () => { editor.refresh(); } });
    };
    const turn = (open) => {
      middle.toggleAttribute("data-shut", !open);
      $("sourceswitch").setAttribute("aria-pressed", String(open));
      if (open) {
        made();
        code.refresh();
        refresh();
      }
      editor.refresh();
    };
    const switched = (name) => {
      part = name;
      root.querySelectorAll("[data-code]").forEach((each) => each.setAttribute("aria-pressed", String(each.dataset.code === name)));
      root.querySelectorAll(".vcode").forEach((each) => { each.hidden = each.dataset.of !== name; });
      buttons.forEach((each) => { each.hidden = name !== "mjml"; });
      (name === "mjml" ? code : page).refresh();
      say("");
      if (name === "html") readers();
      else refresh();
    };
    const KEY = "envoi.pane:visual.open";
    $("sourceswitch").addEventListener("click", () => {
      turn(shut());
      try {
        localStorage.setItem(KEY, shut() ? "" : "1");
      } catch { /* it is shut the next time */ }
    });
    root.querySelectorAll("[data-code]").forEach((each) => each.addEventListener("click", () => switched(each.dataset.code)));
    $("sourceline").addEventListener("click", ({ target }) => {
      code.setCursor(Number(target.dataset.line) - 1, 0);
      code.focus();
    });
    $("sourceapply")?.addEventListener("click", apply);
    $("sourceback")?.addEventListener("click", () => {
      set(false);
      say("");
      follow();
      changed();
    });
    editor.on("component:selected", () => { if (!shut()) point(); });
    return {
      open: () => {
        let wanted = false;
        try {
          wanted = Boolean(localStorage.getItem(KEY));
        } catch { /* shut */ }
        turn(wanted);
      },
      // The canvas has changed. A source that is not applied stays.
      refresh: () => {
        if (dirty && !overtaken && spread(editor.getWrapper(), written).text !== followed) {
          overtaken = true;
          say(t("sourceBoth"));
        }
        refresh();
      },
      apply,
      dirty: () => dirty,
      text: () => (dirty ? code.getValue() : ""),
      put: (text) => {
        turn(true);
        code.setValue(text);
        set(true);
        say(t("sourceChanged"));
      },
    };
  };
})();
