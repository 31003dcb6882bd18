/* Web tag and privacy banner for the pages of a site. Without a library, without a third party.

   <script src="…/static/delivery/web_tag.js" defer data-tracking="https://t.example.org" data-page="shop"
           data-domain="example.org" data-privacy="/privacy"></script>

   data-tracking  where the process `track` answers
   data-page      name of the page, with `|t` or `|w` and a folder as the tag takes them
   data-job, data-recipient, data-amount, data-article   jobid, rcpid, amount and article of the tag
   data-domain    domain of the cookie `acoptout`, so that `track` below the same domain reads it too
   data-privacy   address of the site's privacy page
   data-banner    "no": nobody is asked, and visits are told of unless somebody forbade it
   data-title, data-text, data-allow, data-refuse, data-more   words of the banner in place of ours

   The banner waits for an answer without holding the page up: it comes first for the keyboard, and Escape
   closes it until the next page, as closeOptOutBanner does.
   `envoiPrivacy` has allow, forbid, closeOptOutBanner, hasUserPrefs, getUserPrefs, and showBanner.
   The cookie: 0 allowed, 1 refused. */
(function () {
  "use strict";
  var script = document.currentScript;
  if (!script || window.envoiPrivacy) return;
  var given = script.dataset;
  var words = {
    en: ["Privacy", "May we count your visit, and know which of our messages brought you here?", "Allow", "Refuse", "More"],
    fr: ["Vie privée", "Pouvons-nous compter votre visite et savoir lequel de nos messages vous a conduit ici ?", "Autoriser", "Refuser", "En savoir plus"],
    sv: ["Integritet", "Får vi räkna ditt besök och veta vilket av våra meddelanden som förde dig hit?", "Tillåt", "Avböj", "Läs mer"],
    ko: ["개인정보 보호", "방문을 집계하고 어떤 메시지를 통해 오셨는지 알아도 될까요?", "허용", "거부", "자세히"],
    zh: ["隱私權", "我們可以統計您的造訪，並得知您是透過哪一封郵件來到這裡的嗎？", "允許", "拒絕", "瞭解詳情"],
    de: ["Datenschutz", "Dürfen wir Ihren Besuch zählen und wissen, welche unserer Nachrichten Sie hierher geführt hat?", "Erlauben", "Ablehnen", "Mehr dazu"],
    es: ["Privacidad", "¿Podemos contar su visita y saber cuál de nuestros mensajes le ha traído aquí?", "Permitir", "Rechazar", "Más información"],
  };
  var language = (document.documentElement.lang || navigator.language || "en").slice(0, 2).toLowerCase();
  if (!words[language]) language = "en";
  var said = ["title", "text", "allow", "refuse", "more"].map(function (name, at) { return given[name] || words[language][at]; });
  var banner = null;
  var told = false;

  function getUserPrefs() {
    var found = document.cookie.match(/(?:^|;\s*)acoptout=([01])(?:;|$)/);
    return found ? Number(found[1]) : null;
  }
  function hasUserPrefs() { return getUserPrefs() !== null; }
  function remember(value) {
    var cookie = "acoptout=" + value + "; Path=/; Max-Age=31536000; SameSite=Lax" + (location.protocol === "https:" ? "; Secure" : "");
    if (given.domain) document.cookie = cookie + "; Domain=" + given.domain;
    // A page that does not lie below that domain keeps the answer for itself.
    if (getUserPrefs() !== value) document.cookie = cookie;
  }
  function tell() {
    if (told || !given.tracking || !given.page) return;
    told = true;
    var names = { page: "tagid", job: "jobid", recipient: "rcpid", amount: "amount", article: "article" };
    var query = Object.keys(names).filter(function (name) { return given[name]; }).map(function (name) {
      return names[name] + "=" + encodeURIComponent(given[name]);
    });
    new Image().src = given.tracking.replace(/\/+$/, "") + "/r/" + Math.random().toString().slice(2) + "?" + query.join("&");
  }
  function closeOptOutBanner() {
    if (banner) banner.remove();
    banner = null;
  }
  function allow() { remember(0); closeOptOutBanner(); tell(); }
  function forbid() { remember(1); closeOptOutBanner(); }
  function button(text, act) {
    var made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    made.style.cssText = "font:inherit;padding:.6em 1.2em;border:1px solid #1d1d1f;border-radius:6px;background:#fff;color:#1d1d1f;cursor:pointer";
    made.addEventListener("click", act);
    return made;
  }
  function showBanner() {
    if (banner) return;
    banner = document.createElement("div");
    banner.setAttribute("role", "dialog");
    banner.setAttribute("aria-label", said[0]);
    banner.lang = language === "zh" ? "zh-Hant" : language;
    banner.addEventListener("keydown", function (event) { if (event.key === "Escape") closeOptOutBanner(); });
    banner.style.cssText = "position:fixed;z-index:2147483000;left:0;right:0;bottom:0;display:flex;flex-wrap:wrap;gap:.8em;align-items:center;justify-content:center;padding:1em;background:#fff;color:#1d1d1f;border-top:1px solid #6e6e73;font:16px/1.4 system-ui,sans-serif";
    var text = document.createElement("p");
    text.style.cssText = "margin:0;flex:0 1 36em";
    text.id = "envoi-privacy-text";
    banner.setAttribute("aria-describedby", text.id);
    text.textContent = said[1] + " ";
    if (/^(https?:\/\/|\/)/.test(given.privacy || "")) {
      var more = document.createElement("a");
      more.href = given.privacy;
      more.textContent = said[4];
      more.style.color = "inherit";
      text.append(more);
    }
    banner.append(text, button(said[3], forbid), button(said[2], allow));
    document.body.prepend(banner);
  }
  window.envoiPrivacy = {
    allow: allow, forbid: forbid, closeOptOutBanner: closeOptOutBanner,
    hasUserPrefs: hasUserPrefs, getUserPrefs: getUserPrefs, showBanner: showBanner,
  };
  function start() {
    var prefs = getUserPrefs();
    if (prefs === 0 || (prefs === null && given.banner === "no")) tell();
    else if (prefs === null) showBanner();
  }
  if (document.body) start();
  else document.addEventListener("DOMContentLoaded", start);
})();
