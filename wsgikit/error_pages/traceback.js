"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const said = byId("said");
  const say = (text) => { said.textContent = ""; requestAnimationFrame(() => { said.textContent = text; }); };

  const copyOldWay = (area) => {
    const fold = area.closest("details");
    const wasOpen = fold.open;
    fold.open = true;
    area.select();
    const done = document.execCommand("copy");
    fold.open = wasOpen;
    byId("copy").focus();
    return done;
  };

  byId("copy").addEventListener("click", async () => {
    const area = byId("markdown");
    try {
      await navigator.clipboard.writeText(area.value);
      say("Copied.");
    } catch {
      // Without HTTPS, on another host than localhost, there is no clipboard API.
      say(copyOldWay(area) ? "Copied." : "Open “As Markdown” below and copy it by hand.");
    }
  });

  byId("unfold").addEventListener("click", (event) => {
    const button = event.currentTarget;
    const open = button.getAttribute("aria-pressed") !== "true";
    for (const fold of document.querySelectorAll("details.frame, details.folded")) {
      fold.open = open || fold.hasAttribute("data-open");
    }
    button.setAttribute("aria-pressed", String(open));
    say(open ? "All frames are open." : "Library frames are folded.");
  });

  byId("actions").hidden = false;
})();
