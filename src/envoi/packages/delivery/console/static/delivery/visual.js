// The visual editor of messages: GrapesJS with its MJML components, in the console's own clothes.
// The server compiles what is kept; nothing of a message depends on what a browser makes of it.
"use strict";
(() => {
  const root = document.querySelector("[data-visual]");
  if (!root || !window.grapesjs) return;
  const config = JSON.parse(document.getElementById("visual-config").textContent);
  const t = (name) => config.texts[name] ?? name;
  const $ = (name) => root.querySelector(`[data-part="${name}"]`);
  const make = (tag, attributes = {}, ...inner) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else if (value === true) made.setAttribute(name, "");
      else if (value !== false && value != null) made.setAttribute(name, value);
    }
    made.append(...inner);
    return made;
  };
  const escaped = (text) => String(text).replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);

  // ---- the editor -------------------------------------------------------------------------------------
  const plugin = window["grapesjs-mjml"].default ?? window["grapesjs-mjml"];
  const MJML = [
    "mj-body", "mj-wrapper", "mj-section", "mj-group", "mj-column", "mj-text", "mj-button", "mj-image", "mj-social",
    "mj-social-element", "mj-divider", "mj-spacer", "mj-navbar", "mj-navbar-link", "mj-hero", "mj-raw",
  ];
  const tagged = (component, tag) => (!component ? [] : component.get("tagName") === tag ? [component]
    : component.components().models.flatMap((each) => tagged(each, tag)));
  // Values of attributes reach the compiler of the canvas as text in quotes.
  const asText = (editor) => {
    for (const name of MJML) {
      const type = editor.Components.getType(name);
      if (!type) continue;
      const own = type.model.prototype.getMjmlAttributes;
      if (own) {
        type.model.prototype.getMjmlAttributes = function () {
          return Object.fromEntries(Object.entries(own.call(this))
            .filter(([key]) => !key.startsWith("envoi-"))
            .map(([key, value]) => [key, typeof value === "string" ? escaped(value) : value]));
        };
      }
      // What is not written is left to the compiler and to mj-attributes.
      editor.Components.addType(name, { model: { defaults: { "style-default": {} } } });
    }
  };
  const withHead = (editor, { opt }) => {
    const parse = opt.mjmlParser;
    opt.mjmlParser = (source, options) => {
      const [head] = tagged(editor.getWrapper(), "mj-attributes");
      const made = parse(head ? source.replace(/^<mjml>/, `<mjml><mj-head>${written(head)}</mj-head>`) : source, options);
      // Nothing is fetched from elsewhere for the sake of an icon; pictures of ours come from where we are.
      const html = made.html.replaceAll("https://www.mailjet.com/images/theme/v1/icons/ico-social/", config.social).replaceAll(config.own, "/");
      return { ...made, html };
    };
  };
  // What a browser makes of a text that is written in is HTML; the editor reads XML.
  const VOID = new Set(["area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "track", "wbr"]);
  const asXml = (input) => {
    if (typeof input !== "string" || /^\s*<mj/.test(input)) return input;
    const inside = new DOMParser().parseFromString(`<body>${input}</body>`, "text/html").body;
    // What is pasted from a word processor has elements and attributes of its own.
    inside.querySelectorAll("script, style, meta, link, title, iframe, object").forEach((each) => each.remove());
    inside.querySelectorAll("*").forEach((each) => {
      for (const { name } of [...each.attributes]) if (!/^[a-z][\w-]*$/i.test(name) || /^on/i.test(name)) each.removeAttribute(name);
      if (!/^[a-z][\w-]*$/i.test(each.localName)) each.replaceWith(...each.childNodes);
    });
    return [...inside.childNodes].map((each) => new XMLSerializer().serializeToString(each)).join("").replaceAll(' xmlns="http://www.w3.org/1999/xhtml"', "");
  };
  const editor = window.grapesjs.init({
    container: $("canvas"),
    height: "100%",
    width: "auto",
    storageManager: false,
    parser: { optionsHtml: { preParser: asXml } },
    richTextEditor: { actions: ["bold", "italic", "underline", "strikethrough", "link"] },
    telemetry: false,
    cssIcons: "",
    noticeOnUnload: false,
    panels: { defaults: [] },
    blockManager: { custom: true },
    traitManager: { custom: true },
    styleManager: { custom: true },
    layerManager: { custom: true },
    selectorManager: { custom: true },
    assetManager: { custom: { open: ({ select, close: done }) => pictures((chosen) => { select({ getSrc: () => chosen.address }, true); done?.(); }), close: () => {} } },
    deviceManager: { devices: [] },
    domComponents: { disableTextInnerChilds: false },
    canvasCss: '[data-gjs-type="mj-head"]{display:none!important}body{color-scheme:light}',
    i18n: { locale: config.language, detectLocale: false, localeFallback: "en", messages: { [config.language]: {} } },
    plugins: [
      (it) => plugin(it, {
        fonts: {}, useXmlParser: true, useCustomTheme: false, blocks: [], columnsPadding: "10px 0",
        customComponents: [withHead],
        i18n: { [config.language]: { "grapesjs-mjml": { components: { names: config.names } } } },
      }),
      asText,
    ],
  });
  window.envoiEditor = editor;

  // ---- written as XML ---------------------------------------------------------------------------------
  const inside = (component) => component.components().map((each) => written(each)).join("") || (component.get("content") ?? "");
  const written = (component, content = inside) => {
    const tag = component.get("tagName");
    if (component.is("textnode") || component.is("comment") || !tag) return component.toHTML();
    const inner = content(component);
    if (component === editor.getWrapper()) return inner;
    const given = component.getAttrToHTML && tag.startsWith("mj-") ? component.getAttrToHTML() : component.getAttributes();
    const style = tag.startsWith("mj") ? "" : component.styleToString?.() || "";
    const attributes = { ...given, ...(style ? { style } : {}) };
    if (!tag.startsWith("mj") && String(attributes.id ?? "").match(/^i[a-z0-9]{2,5}$/)) delete attributes.id;
    const said = Object.entries(attributes)
      .filter(([name, value]) => value !== "" && value !== false && value != null && name !== "draggable" && !(name === "style" && tag.startsWith("mj")) && !name.startsWith("data-gjs"))
      .map(([name, value]) => ` ${name}="${escaped(value === true ? name : value)}"`)
      .join("");
    return VOID.has(tag) || (!inner && component.get("void")) ? `<${tag}${said}/>` : `<${tag}${said}>${inner}</${tag}>`;
  };
  const source = () => {
    editor.getEditing()?.trigger?.("sync:content");
    return written(editor.getWrapper());
  };
  // A text that is being written in is left alone: the editor would draw it anew, and the caret would be lost.
  const writing = () => editor.getEditing() && editor.Canvas.getDocument().querySelector("[contenteditable=true]");
  let begun = "";
  const seen = () => {
    const [at, open] = [writing(), editor.getEditing()];
    if (!at) return source();
    const copy = at.cloneNode(true);
    copy.querySelectorAll("*").forEach((each) => {
      for (const { name, value } of [...each.attributes]) {
        if (/^(data-|draggable|contenteditable|spellcheck)/.test(name) || (name === "id" && /^i[a-z0-9]{2,5}$/.test(value))) each.removeAttribute(name);
        else if (name === "class") each.className = value.split(" ").filter((one) => !one.startsWith("gjs-")).join(" ");
        if (name === "class" && !each.className) each.removeAttribute("class");
      }
    });
    const within = (component) => (component === open ? asXml(copy.innerHTML) : component.components().map((each) => written(each, within)).join("") || (component.get("content") ?? ""));
    return written(editor.getWrapper(), within);
  };

  // ---- keeping ----------------------------------------------------------------------------------------
  const form = $("form");
  const said = $("said");
  const say = (text, bad = false) => {
    said.textContent = text;
    said.classList.toggle("t-bad", bad);
  };
  let clean = "";
  let draft = { save() {}, drop() {} };
  let pane = null;
  const changed = () => clean !== source() || Boolean(pane?.dirty());
  const mark = () => {
    const at = writing();
    if (at && at.innerHTML === begun) return;
    const now = Boolean(at) || changed();
    $("unsaved").hidden = !now;
    if (now) draft.save();
    else draft.drop();
  };
  // Ask the server, as JSON; an answer that is none is a problem in words.
  const ask = async (what, text, lost) => {
    const body = new FormData(form);
    body.set("do", what);
    body.set("mjml_source", text);
    try {
      const answer = await fetch(form.action, { method: "POST", body, headers: { Accept: "application/json" } });
      if (!answer.headers.get("Content-Type")?.startsWith("application/json")) return { problem: lost };
      return await answer.json();
    } catch {
      return { problem: lost };
    }
  };
  const keep = async () => {
    if (pane?.dirty() && !(await pane.apply())) {
      say(t("sourceKept"), true);
      return false;
    }
    const text = source();
    say(t("keeping"));
    const { said: line, problem, size, version } = await ask("keep", text, t("lost"));
    say(problem || line, Boolean(problem));
    if (version) form.elements.version.value = version;
    if (!problem) {
      clean = text;
      $("size").textContent = size;
      mark();
    }
    return !problem;
  };
  addEventListener("beforeunload", (event) => { if (config.changes && changed()) event.preventDefault(); });

  // ---- blocks -----------------------------------------------------------------------------------------
  const section = (inner, attributes = "") => `<mj-section css-class="sheet" background-color="#ffffff" padding="24px 8px"${attributes}>${inner}</mj-section>`;
  const column = (inner = "", attributes = "") => `<mj-column${attributes}>${inner}</mj-column>`;
  const FONT = ' font-family="Helvetica, Arial, sans-serif" color="#1f2733"';
  const text = (inner, attributes = "") => `<mj-text css-class="ink"${FONT} font-size="16px" line-height="1.5"${attributes}>${inner}</mj-text>`;
  const button = `<mj-button href="https://" background-color="#2f43b0" color="#ffffff" font-family="Helvetica, Arial, sans-serif" font-size="16px" border-radius="6px">${escaped(t("sampleButton"))}</mj-button>`;
  const social = `<mj-social icon-size="28px" mode="horizontal">${["facebook", "instagram", "linkedin", "youtube"].map((each) => `<mj-social-element name="${each}-noshare" href="https://www.${each}.com/"></mj-social-element>`).join("")}</mj-social>`;
  const image = `<mj-image src="${config.placeholder}" alt=""/>`;
  const say2 = (name) => escaped(t(name));
  const ICONS = {
    one: "M2 3.5h12v9H2z",
    two: "M2 3.5h5v9H2zM9 3.5h5v9H9z",
    three: "M1.5 3.5H5v9H1.5zM6.3 3.5h3.4v9H6.3zM11 3.5h3.5v9H11z",
    pictureText: "M2 3.5h5v9H2zM2.5 11l1.6-2 1.2 1.2M9 5h5M9 8h5M9 11h3.5",
    hero: "M1.5 3h13v10h-13zM4.5 6.5h7M6 9.5h4",
    text: "M3 4h10M3 7h10M3 10h10M3 13h6",
    heading: "M4 3v10M12 3v10M4 8h8",
    image: "M2 3h12v10H2zM3 11.5l3.2-3.2 2.3 2 2.4-2.6 2.4 2.7M5.6 6.4a1 1 0 1 0 0-.1",
    button: "M4 5h8a3 3 0 0 1 0 6H4a3 3 0 0 1 0-6zM5.5 8h5",
    divider: "M2 8h12",
    spacer: "M3 2.5h10M3 13.5h10M8 5v6M6.3 6.5 8 4.8l1.7 1.7M6.3 9.5 8 11.2l1.7-1.7",
    social: "M5.4 8.9l5.2 2.7M5.4 7.1l5.2-2.7M3.7 6.2a1.8 1.8 0 1 0 0 3.6 1.8 1.8 0 0 0 0-3.6M12.3 1.8a1.8 1.8 0 1 0 0 3.6 1.8 1.8 0 0 0 0-3.6M12.3 10.6a1.8 1.8 0 1 0 0 3.6 1.8 1.8 0 0 0 0-3.6",
    greeting: "M8 2.5a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6M2.6 14c.3-3 2.4-4.7 5.4-4.7s5.1 1.7 5.4 4.7",
    conditional: "M8 1.8 14.2 8 8 14.2 1.8 8zM6.6 6.6c.2-1.7 2.9-1.5 2.7.2C9.2 7.9 8 7.8 8 9M8 10.8v.1",
    footer: "M2 3h12v10H2zM2 10h12M4.5 11.5h7",
    own: "M8 1.8 13.6 5v6L8 14.2 2.4 11V5zM2.6 5.1 8 8.2l5.4-3.1M8 8.2v6",
  };
  const drawing = (name) => {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 16 16");
    svg.setAttribute("class", "i vico");
    svg.setAttribute("aria-hidden", "true");
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", ICONS[name]);
    svg.append(path);
    return svg;
  };
  const BLOCKS = [
    ["layout", "one", "one", section(column(text(say2("sampleText"))))],
    ["layout", "two", "two", section(column(text(say2("sampleText"))) + column(text(say2("sampleText"))))],
    ["layout", "three", "three", section(column(text(say2("sampleText"))) + column(text(say2("sampleText"))) + column(text(say2("sampleText"))))],
    ["layout", "pictureText", "pictureText", section(column(image, ' width="40%"') + column(text(say2("sampleText")), ' width="60%"'))],
    ["layout", "hero", "hero", `<mj-hero mode="fixed-height" height="320px" background-color="#24358f" vertical-align="middle" padding="40px 20px"><mj-text align="center" color="#ffffff" font-family="Helvetica, Arial, sans-serif" font-size="32px" line-height="1.2" font-weight="700">${say2("sampleTitle")}</mj-text>${button}</mj-hero>`],
    ["content", "text", "text", text(say2("sampleText"))],
    ["content", "heading", "heading", text(`<h1 style="margin:0;font-size:28px;line-height:1.25;">${say2("sampleTitle")}</h1>`)],
    ["content", "image", "image", image],
    ["content", "button", "button", button],
    ["content", "divider", "divider", '<mj-divider border-color="#d5dae2" border-width="1px"/>'],
    ["content", "spacer", "spacer", '<mj-spacer height="24px"/>'],
    ["content", "social", "social", social],
    ["personal", "greeting", "greeting", text(`${say2("sampleHello")}{% if recipient.firstName %} {{ recipient.firstName }}{% endif %},`)],
    ["personal", "conditional", "conditional", section(column(text(say2("sampleConditional"))), ' envoi-if="recipient.firstName"')],
    ["personal", "footer", "footer", section(column(text(say2("sampleFooter").replace("%address%", "{{ message.address }}") + `<br/><a href="{{ message.unsubscribeUrl }}" style="color:#5c6676;">${say2("unsubscribe")}</a>{% if message.mirrorUrl %} · <a href="{{ message.mirrorUrl }}" style="color:#5c6676;">${say2("mirror")}</a>{% endif %}`, ' align="center"').replace('color="#1f2733"', 'color="#5c6676"').replace('font-size="16px"', 'font-size="13px"').replace('"ink"', '"soft"'))).replace(' css-class="sheet" background-color="#ffffff"', "")],
    ...config.blocks.map(([name, label]) => ["own", `{}${label}`, "own", text(`{% include &quot;${escaped(name)}&quot; %}`)]),
  ];
  const WHOLE = /^<mj-(section|hero|wrapper)/;
  const within = (component, types) => {
    for (let each = component; each; each = each.parent()) if (types.includes(each.get("tagName"))) return each;
    return null;
  };
  const after = (component, made) => component.parent().append(made, { at: component.index() + 1 })[0];
  const add = (made) => {
    const body = tagged(editor.getWrapper(), "mj-body")[0];
    const chosen = editor.getSelected();
    let result;
    if (WHOLE.test(made)) {
      const whole = within(chosen, ["mj-section", "mj-hero", "mj-wrapper"]);
      const top = whole && (whole.parent().get("tagName") === "mj-wrapper" && !/^<mj-section/.test(made) ? whole.parent() : whole);
      result = top ? after(top, made) : body.append(made)[0];
    } else {
      const place = within(chosen, ["mj-column", "mj-hero"]);
      const beside = place && chosen !== place ? [...Array(99)].reduce((each) => (each && each.parent() !== place ? each.parent() : each), chosen) : null;
      const columns = tagged(body, "mj-column");
      if (beside) result = after(beside, made);
      else if (place) result = place.append(made)[0];
      else if (columns.length) result = columns[columns.length - 1].append(made)[0];
      else result = tagged(body.append(section(column(made)))[0], "mj-column")[0].components().at(0);
    }
    editor.select(result);
    editor.Canvas.scrollTo(result, { behavior: "auto" });
  };
  const labelOf = (name) => (name.startsWith("{}") ? name.slice(2) : t(`block_${name}`));
  BLOCKS.forEach(([category, name, icon, content], number) => {
    editor.Blocks.add(`b${number}`, { label: labelOf(name), category, content });
    const block = editor.Blocks.get(`b${number}`);
    $(`blocks-${category}`)?.append(
      make("li", {}, make("button", {
        type: "button", class: "btn vblock", draggable: "true", "data-block": name, disabled: !config.changes,
        onclick: () => add(content),
        ondragstart: (event) => editor.Blocks.startDrag(block, event),
        ondragend: (event) => editor.Blocks.endDrag(event),
      }, drawing(icon), labelOf(name))),
    );
  });

  // ---- properties -------------------------------------------------------------------------------------
  const FONTS = ["Helvetica, Arial, sans-serif", "Georgia, Times, serif", "Verdana, Geneva, sans-serif", "Trebuchet MS, Tahoma, sans-serif", "Courier New, Courier, monospace"];
  const space = ["padding-top", "padding-bottom", "padding-left", "padding-right"];
  const when = ["envoi-if"];
  const PROPERTIES = {
    "mj-body": ["preview", "background-color", "width"],
    "mj-wrapper": ["background-color", "background-url", "padding-top", "padding-bottom", "border-radius", "full-width", ...when, "envoi-each"],
    "mj-section": ["background-color", "background-url", "padding-top", "padding-bottom", "border-radius", "full-width", ...when, "envoi-each"],
    "mj-hero": ["background-color", "background-url", "height", "vertical-align", ...when],
    "mj-group": ["background-color", "width"],
    "mj-column": ["width", "background-color", "vertical-align", "padding-top", "padding-bottom", "border-radius"],
    "mj-text": ["color", "font-size", "line-height", "align", "font-family", ...space, ...when],
    "mj-button": ["href", "background-color", "color", "font-size", "font-weight", "border-radius", "align", "width", "font-family", ...space, ...when],
    "mj-image": ["src", "alt", "href", "width", "align", "border-radius", ...space, ...when],
    "mj-divider": ["border-color", "border-width", "border-style", "width", ...space, ...when],
    "mj-spacer": ["height", ...when],
    "mj-social": ["align", "icon-size", "mode", "color", ...space, ...when],
    "mj-social-element": ["network", "href", "alt"],
    "mj-navbar": ["align"],
    "mj-navbar-link": ["href", "color", "font-size"],
    a: ["href", "title"],
    img: ["src", "alt", "href", "width"],
  };
  const CHOICES = {
    align: ["left", "center", "right"],
    "vertical-align": ["top", "middle", "bottom"],
    "border-style": ["solid", "dashed", "dotted"],
    "font-weight": ["400", "600", "700"],
    mode: ["horizontal", "vertical"],
    "full-width": ["full-width"],
    "font-family": FONTS,
    network: ["facebook", "instagram", "linkedin", "youtube", "x", "pinterest", "tumblr", "vimeo", "github", "web"],
  };
  const PIXELS = new Set([...space, "font-size", "border-radius", "border-width", "icon-size", "height"]);
  const preheader = () => tagged(editor.getWrapper(), "mj-preview")[0];
  const read = (component, name) => {
    if (name === "preview") return (preheader()?.components().map((each) => each.get("content") ?? "").join("") ?? "").replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&quot;", '"').replaceAll("&amp;", "&");
    if (name === "network") return String(component.getAttributes().name ?? "").replace("-noshare", "");
    if (name === "src") return component.get("src") ?? component.getAttributes().src ?? "";
    const given = component.getAttributes()[name];
    if (given != null) return given;
    const side = name.match(/^padding-(top|right|bottom|left)$/)?.[1];
    const all = component.getAttributes().padding;
    if (side && all) {
      const parts = String(all).trim().split(/\s+/);
      return parts[{ top: 0, right: 1, bottom: 2, left: 3 }[side]] ?? parts[{ top: 0, right: 1, bottom: 0, left: 1 }[side]] ?? parts[0];
    }
    return "";
  };
  const write = (component, name, value) => {
    if (name === "preview") {
      const [there, [head]] = [preheader(), tagged(editor.getWrapper(), "mj-head")];
      if (there) there.components(escaped(value));
      else head?.append(`<mj-preview>${escaped(value)}</mj-preview>`);
      return soon();
    }
    if (name === "network") return component.addAttributes({ name: value ? `${value}-noshare` : "" });
    if (name === "src") {
      component.set("src", value);
      return component.addAttributes({ src: value });
    }
    if (value === "") {
      component.removeAttributes(name);
      return component.removeStyle?.(name);
    }
    return component.addAttributes({ [name]: value });
  };
  let number = 0;
  const control = (component, name) => {
    const id = `vp${(number += 1)}`;
    const value = String(read(component, name) ?? "");
    const row = make("div", { class: "f" }, make("label", { for: id }, t(`prop_${name}`)));
    const set = (next) => write(component, name, next);
    const off = { disabled: !config.changes };
    if (CHOICES[name]) {
      const known = CHOICES[name].includes(value) || !value;
      row.append(make("select", { class: "in", id, ...off, onchange: (event) => set(event.target.value) },
        make("option", { value: "" }, t("standard")),
        ...(known ? [] : [make("option", { value, selected: true }, value)]),
        ...CHOICES[name].map((each) => make("option", { value: each, selected: each === value }, config.texts[`choice_${each}`] ?? each.split(",")[0]))));
    } else if (name.endsWith("color")) {
      const plain = make("input", { class: "in mono", id, value, placeholder: t("standard"), spellcheck: "false", ...off, onchange: (event) => { set(event.target.value.trim()); chooser.value = /^#[\da-f]{6}$/i.test(event.target.value) ? event.target.value : "#ffffff"; } });
      const chooser = make("input", { type: "color", class: "vcolor", value: /^#[\da-f]{6}$/i.test(value) ? value : "#ffffff", "aria-label": t(`prop_${name}`), ...off, onchange: (event) => { plain.value = event.target.value; set(event.target.value); } });
      row.append(make("span", { class: "vpair" }, chooser, plain));
    } else if (PIXELS.has(name)) {
      row.append(make("span", { class: "vpair" }, make("input", { class: "in", id, type: "number", min: "0", max: "2000", value: parseFloat(value) || (value === "0" || value === "0px" ? 0 : ""), placeholder: t("standard"), ...off, onchange: (event) => set(event.target.value === "" ? "" : `${event.target.value}px`) }), make("span", { class: "mut sm", "aria-hidden": "true" }, "px")));
    } else if (name === "src" || name === "background-url") {
      const field = make("input", { class: "in", id, value, inputmode: "url", ...off, onchange: (event) => set(event.target.value.trim()) });
      row.append(field, make("button", { type: "button", class: "btn", ...off, "data-choose": true, onclick: () => pictures((chosen) => {
        set(chosen.address);
        if (name === "src" && chosen.alt && !read(component, "alt")) write(component, "alt", chosen.alt);
        if (name === "src" && !read(component, "width") && chosen.width < 500) write(component, "width", `${chosen.width}px`);
        show(component);
      }) }, t("choosePicture")));
    } else {
      const long = name === "envoi-if" || name === "envoi-each" || name === "alt" || name === "preview";
      row.append(make(long ? "textarea" : "input", { class: name.startsWith("envoi-") ? "in mono" : "in", id, value, rows: long ? 2 : null, "data-field-target": ["href", "alt", "preview"].includes(name) || null, spellcheck: name === "alt" ? "true" : "false", ...off, onchange: (event) => set(event.target.value.trim()) }));
      if (long) row.lastChild.value = value;
      if (config.texts[`hint_${name}`]) row.append(make("span", { class: "hint" }, t(`hint_${name}`)));
      if (name === "envoi-if" && config.changes) row.append(conditions(row.querySelector("textarea"), set));
    }
    return row;
  };
  // A condition in three fields, for those who write none.
  const conditions = (into, set) => {
    const field = make("select", { class: "in", "aria-label": t("conditionField") }, make("option", { value: "" }, `${t("conditionField")}…`), ...options());
    const how = make("select", { class: "in", "aria-label": t("conditionHow") }, ...["filled", "empty", "equals", "differs", "above", "below"].map((each) => make("option", { value: each }, t(`how_${each}`))));
    const what = make("input", { class: "in", "aria-label": t("conditionValue") });
    const say = () => {
      const path = field.value.replace(/^\{\{\s*|\s*\}\}$/g, "");
      if (!path) return;
      const literal = /^-?\d+(\.\d+)?$/.test(what.value.trim()) ? what.value.trim() : `"${what.value.replaceAll('"', "")}"`;
      into.value = { filled: path, empty: `not ${path}`, equals: `${path} == ${literal}`, differs: `${path} != ${literal}`, above: `${path} > ${literal}`, below: `${path} < ${literal}` }[how.value];
      set(into.value);
    };
    const shown = () => { what.hidden = ["filled", "empty"].includes(how.value); };
    for (const each of [field, how, what]) each.addEventListener("change", () => { shown(); say(); });
    shown();
    return make("details", {}, make("summary", { class: "sm" }, t("compose")), make("div", { class: "vcond" }, field, how, what));
  };
  const options = () => config.fields.map(([group, marks]) => make("optgroup", { label: group }, ...marks.map(([value, label]) => make("option", { value }, label))));

  const panel = $("properties");
  const path = $("path");
  const names = (component) => component.getName() || component.get("tagName");
  const show = (component) => {
    panel.replaceChildren();
    path.replaceChildren();
    if (!component || component === editor.getWrapper()) {
      panel.append(make("p", { class: "two sm" }, t("choose")));
      return;
    }
    const chain = [];
    for (let each = component; each && each.get("tagName") !== "mjml"; each = each.parent()) if (each !== editor.getWrapper()) chain.unshift(each);
    path.append(...chain.map((each) => make("li", {}, make("button", { type: "button", class: "btn quiet sm", "aria-current": each === component ? "true" : null, onclick: () => editor.select(each) }, names(each)))));
    const properties = PROPERTIES[component.get("tagName")] ?? (component.is("link") ? PROPERTIES.a : component.is("image") ? PROPERTIES.img : []);
    const own = properties.map((each) => control(component, each));
    panel.append(...(own.length ? own : [make("p", { class: "two sm" }, t("noProperties"))]));
    if (component.get("tagName") === "mj-social" && config.changes) panel.append(make("button", { type: "button", class: "btn", onclick: () => editor.select(component.append('<mj-social-element name="web-noshare" href="https://"></mj-social-element>')[0]) }, t("addNetwork")));
    if (config.changes && component.get("removable") && component.get("tagName") !== "mj-body") {
      panel.append(make("div", { class: "bar vacts" },
        ...[["up", "↑"], ["down", "↓"], ["copy", "⧉"], ["remove", "×"]].map(([act, icon]) => make("button", { type: "button", class: "btn", "data-act": act, title: t(`act_${act}`), "aria-label": t(`act_${act}`), onclick: () => acts[act](component) }, icon))));
    }
  };
  const move = (component, by) => {
    const parent = component.parent();
    const at = component.index() + by;
    if (!parent || at < 0 || at >= parent.components().length) return;
    component.move(parent, { at: by > 0 ? at + 1 : at });
    editor.select(component);
  };
  const acts = {
    up: (component) => move(component, -1),
    down: (component) => move(component, 1),
    copy: (component) => editor.select(after(component, component.clone())),
    remove: (component) => {
      const next = component.parent();
      component.remove();
      editor.select(next);
    },
  };

  // ---- structure --------------------------------------------------------------------------------------
  const tree = $("structure");
  const drawn = () => {
    const body = tagged(editor.getWrapper(), "mj-body")[0];
    const shown = (component) => {
      const tag = component.get("tagName") ?? "";
      if (!tag.startsWith("mj-")) return null;
      const inner = component.components().map(shown).filter(Boolean);
      const words = inner.length ? "" : (component.getEl()?.textContent ?? "").trim().replace(/\s+/g, " ").slice(0, 32);
      return make("li", {}, make("button", { type: "button", class: "btn quiet sm", "aria-current": component === editor.getSelected() ? "true" : null, onclick: () => { editor.select(component); editor.Canvas.scrollTo(component, { behavior: "auto" }); } }, names(component), words ? make("span", { class: "mut" }, ` ${words}`) : ""), ...(inner.length ? [make("ul", {}, ...inner)] : []));
    };
    tree.replaceChildren(...(body ? [shown(body)] : []));
  };
  // A message is drawn as it looks in the light, whatever the console looks like; the preview shows the dark.
  const light = () => {
    for (const style of editor.Canvas.getBody().querySelectorAll("style")) {
      const seen = style.textContent.replace(/\(\s*prefers-color-scheme\s*:\s*dark\s*\)/gi, "(max-width:0)");
      if (seen !== style.textContent) style.textContent = seen;
    }
  };
  let waiting = 0;
  const soon = () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => { mark(); light(); if (!$("tree").hidden) drawn(); if (!writing()) pane?.refresh(); }, 150);
  };

  // ---- fields at the caret ----------------------------------------------------------------------------
  const picker = $("fields");
  picker.append(...options());
  let target = null;
  document.addEventListener("focusin", ({ target: now }) => { if (now.matches?.("[data-field-target]")) target = now; });
  picker.addEventListener("change", () => {
    const value = picker.value;
    picker.value = "";
    if (!value) return;
    const editing = editor.getEditing();
    if (editing) {
      const inside = editor.Canvas.getDocument();
      editor.Canvas.getWindow().focus();
      inside.execCommand("insertText", false, value);
    } else if (target?.isConnected) {
      target.setRangeText(value, target.selectionStart, target.selectionEnd, "end");
      target.dispatchEvent(new Event("change", { bubbles: true }));
    } else {
      const chosen = editor.getSelected();
      if (chosen?.is("mj-text") || chosen?.is("mj-button")) chosen.append(escaped(value));
      else add(text(escaped(value)));
    }
  });
  // Focus must not leave the text before the field is chosen.
  picker.addEventListener("mousedown", () => { target = editor.getEditing() ? null : target; });

  // ---- pictures ---------------------------------------------------------------------------------------
  const dialog = $("pictures");
  let chosenBy = null;
  const pictures = (then) => {
    chosenBy = then;
    window.htmx.ajax("GET", config.urls.pictures, { target: "#picker", swap: "innerHTML" });
    dialog.showModal();
  };
  dialog.addEventListener("click", ({ target: at }) => {
    const picked = at.closest("[data-picture]");
    if (picked) {
      const { address, alt, width } = picked.dataset;
      dialog.close();
      chosenBy?.({ address, alt, width: Number(width) });
    } else if (at.closest("[data-close]")) dialog.close();
  });
  dialog.addEventListener("change", async ({ target: at }) => {
    if (at.matches("[data-seek]")) {
      const asked = new URL(config.urls.pictures, location.href);
      dialog.querySelectorAll("[data-seek]").forEach((each) => asked.searchParams.set(each.dataset.seek, each.value));
      window.htmx.ajax("GET", `${asked.pathname}${asked.search}`, { target: "#picker", swap: "innerHTML" });
      return;
    }
    if (!at.matches("[data-upload]") || !at.files.length) return;
    const body = new FormData(form);
    body.delete("mjml_source");
    body.set("do", "upload");
    body.set("folder", dialog.querySelector("[data-into]")?.value ?? "");
    for (const file of at.files) body.append("file", file);
    const answer = await fetch(config.urls.pictures, { method: "POST", body, headers: { Accept: "text/html" } });
    document.getElementById("picker").innerHTML = await answer.text();
    document.getElementById("picker").querySelector("[data-picture], [data-upload]")?.focus();
  });

  // ---- edit and preview -------------------------------------------------------------------------------
  const modes = root.querySelectorAll("[data-mode]");
  const turn = (mode) => {
    root.dataset.showing = mode;
    modes.forEach((each) => each.setAttribute("aria-pressed", String(each.dataset.mode === mode)));
    if (mode === "preview") preview();
    else editor.refresh();
  };
  const preview = (view) => {
    const pane = $("previewform");
    if (view) pane.elements.view.value = view;
    root.querySelectorAll("[data-view]").forEach((each) => each.setAttribute("aria-pressed", String(each.dataset.view === pane.elements.view.value)));
    pane.elements.mjml_source.value = source();
    pane.submit();
  };
  modes.forEach((each) => each.addEventListener("click", () => turn(each.dataset.mode)));
  root.querySelectorAll("[data-view]").forEach((each) => each.addEventListener("click", () => preview(each.dataset.view)));
  $("previewform").addEventListener("submit", (event) => { event.preventDefault(); preview(); });
  const width = (name) => {
    root.querySelectorAll("[data-width]").forEach((each) => each.setAttribute("aria-pressed", String(each.dataset.width === name)));
    editor.Devices.select(name);
  };
  editor.Devices.getAll().reset([]);
  editor.Devices.add({ id: "wide", name: "wide", width: "" });
  editor.Devices.add({ id: "phone", name: "phone", width: "390px", widthMedia: "" });
  root.querySelectorAll("[data-width]").forEach((each) => each.addEventListener("click", () => width(each.dataset.width)));
  root.querySelectorAll("[data-side]").forEach((each) => each.addEventListener("click", () => {
    root.querySelectorAll("[data-side]").forEach((one) => one.setAttribute("aria-pressed", String(one === each)));
    for (const name of ["palette", "tree"]) $(name).hidden = name !== each.dataset.side;
    drawn();
  }));
  const undo = (back) => () => editor.UndoManager[back ? "undo" : "redo"]();
  $("undo").addEventListener("click", undo(true));
  $("redo").addEventListener("click", undo(false));
  $("keep")?.addEventListener("click", (event) => { event.preventDefault(); keep(); });

  // ---- keys: everything that the pointer does ---------------------------------------------------------
  const keys = (event) => {
    const chosen = editor.getSelected();
    const bare = !event.target.closest?.("input, textarea, select, dialog") && !editor.getEditing();
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "s") {
      event.preventDefault();
      if (config.changes) keep();
    } else if (bare && chosen && event.altKey && ["ArrowUp", "ArrowDown"].includes(event.key)) {
      event.preventDefault();
      move(chosen, event.key === "ArrowUp" ? -1 : 1);
    }
  };
  document.addEventListener("keydown", keys);

  editor.on("load", () => {
    editor.setComponents(config.mjml);
    editor.UndoManager.clear();
    clean = source();
    width("wide");
    pane = window.envoiSource({
      editor, root, config, written, t, changed: mark, applied: soon,
      check: (text) => ask("check", text, t("lostSource")),
    });
    if (config.changes) {
      draft = window.envoiDraft({
        read: () => ({ mjml: seen(), source: pane.text() }),
        write: (values, version) => {
          editor.setComponents(values.mjml);
          if (values.source) pane.put(values.source);
          form.elements.version.value = version;
          mark();
          soon();
        },
        at: () => form.elements.version.value,
      });
    }
    pane.open();
    mark();
    show(null);
    editor.Canvas.getDocument().addEventListener("keydown", keys);
    editor.Canvas.getDocument().addEventListener("input", soon);
    editor.Canvas.getBody().setAttribute("lang", config.lang);
    $("canvas").querySelectorAll("iframe").forEach((each) => { each.title = t("canvas"); });
    document.querySelectorAll(".gjs-rte-action").forEach((each, index) => { each.title = t(`rte_${index}`); });
    light();
    root.dataset.ready = "true";
    if (!config.changes) editor.getWrapper().onAll((each) => each.set({ editable: false, removable: false, draggable: false, copyable: false, droppable: false }));
  });
  editor.on("component:selected component:deselected", () => { show(editor.getSelected()); if (!$("tree").hidden) drawn(); });
  editor.on("rte:enable", () => { begun = writing()?.innerHTML ?? ""; });
  editor.on("component:update component:add component:remove undo redo rte:disable", soon);
})();
