// The editor of sources: CodeMirror over a text area, which stays what the form sends and what is there without script.
"use strict";
(() => {
  const { CodeMirror } = window;
  const NAMES = { html: "text/html", mjml: { name: "xml", htmlMode: false, matchClosing: true }, text: "text/plain" };
  // Marks of templates, and those of the product before they are translated, over whatever language they stand in.
  const MARK = /\{\{(?:(?!\{\{).)*?\}\}|\{%(?:(?!\{%).)*?%\}|<%(?:(?!<%).)*?%>/g;
  CodeMirror.defineMode("envoi", (config, { base }) => CodeMirror.overlayMode(CodeMirror.getMode(config, NAMES[base]), {
    token: (stream) => {
      MARK.lastIndex = stream.pos;
      const found = MARK.exec(stream.string);
      if (!found) stream.skipToEnd();
      else if (found.index > stream.pos) stream.pos = found.index;
      else {
        stream.pos += found[0].length;
        return "mark";
      }
      return null;
    },
  }, true));
  const leave = (step) => (it) => {
    // Tab goes on to what follows, as everywhere on the page.
    const all = [...document.querySelectorAll("a[href], button, input, select, textarea, iframe, [tabindex='0']")]
      .filter((each) => !each.disabled && each.tabIndex >= 0 && (each === it.getInputField() || (each.offsetParent && !it.getWrapperElement().contains(each))));
    all[all.indexOf(it.getInputField()) + step]?.focus();
  };
  // language: html, mjml or text. Returns CodeMirror's editor; the text area follows it and says so by `input`.
  window.envoiCode = (area, language, { readOnly = area.readOnly || area.matches(":disabled") } = {}) => {
    const label = area.labels?.[0]?.textContent.trim() || area.getAttribute("aria-label") || "";
    const it = CodeMirror.fromTextArea(area, {
      mode: { name: "envoi", base: language },
      phrases: JSON.parse(document.getElementById("code-phrases")?.textContent ?? "{}"),
      readOnly,
      inputStyle: "contenteditable",
      screenReaderLabel: label,
      lineNumbers: true,
      lineWrapping: true,
      spellcheck: language === "text",
      styleActiveLine: !readOnly,
      matchTags: language === "text" ? false : { bothTags: true },
      matchBrackets: true,
      autoCloseTags: language !== "text" && !readOnly,
      indentUnit: 2,
      tabSize: 2,
      extraKeys: {
        Tab: leave(1), "Shift-Tab": leave(-1), "Ctrl-]": "indentMore", "Ctrl-[": "indentLess",
        "Ctrl-F": "findPersistent", "Cmd-F": "findPersistent", "Ctrl-J": "toMatchingTag",
      },
    });
    const field = it.getInputField();
    field.setAttribute("role", "textbox");
    field.setAttribute("aria-multiline", "true");
    if (readOnly) field.setAttribute("aria-readonly", "true");
    // Numbers of lines and the like are drawn beside the text, not read.
    it.getGutterElement().setAttribute("aria-hidden", "true");
    for (const each of area.labels ?? []) each.addEventListener("click", () => it.focus());
    it.on("change", (_it, { origin }) => {
      it.save();
      if (origin !== "setValue") area.dispatchEvent(new Event("input", { bubbles: true }));
    });
    area.envoiCode = it;
    return it;
  };
})();
