"use strict";
// The script of the pages. They work without it: a page of a run under way is then loaded again every ten seconds.

// Airflow keeps its colour mode here, and this page has the same origin. "system" is what the browser does anyway.
function followTheme() {
  let mode = null;
  try {
    mode = localStorage.getItem("theme");
  } catch {
    // A browser that keeps nothing for this page.
  }
  if (mode === "light" || mode === "dark") {
    document.documentElement.dataset.theme = mode;
  } else {
    delete document.documentElement.dataset.theme;
  }
}

const LONGEST_PAUSE = 60;
const GONE = [401, 403, 404];
const BY_ITSELF = "This page follows the run by itself.";

// Shows how far a run is: asks while it is under way and somebody sees the page. The page is loaded once more when the
// run is planned, since it has a partition then, and when it has ended.
function followRun(part) {
  const usual = Number(part.dataset.seconds);
  const told = document.getElementById("follows");
  let pause = usual;
  let timer = null;
  let asks = false;
  told.textContent = BY_ITSELF;

  async function ask() {
    if (asks || document.hidden) {
      return;
    }
    asks = true;
    clearTimeout(timer);
    try {
      const answer = await fetch(part.dataset.follow);
      if (GONE.includes(answer.status)) {
        told.textContent = "Not updated any more: Airflow refuses. Load the page again.";
        return;
      }
      if (!answer.ok) {
        throw new Error(answer.statusText);
      }
      const said = await answer.json();
      if (!said.under_way || String(said.planned) !== part.dataset.planned) {
        location.reload();
        return;
      }
      show(part, said.html);
      pause = usual;
      told.textContent = BY_ITSELF;
    } catch {
      pause = Math.min(2 * pause, LONGEST_PAUSE);
      told.textContent = `Not updated since ${new Date().toLocaleTimeString()}: Airflow does not answer. Asked again in ${pause} s.`;
    } finally {
      asks = false;
    }
    timer = setTimeout(ask, 1000 * pause);
  }

  document.addEventListener("visibilitychange", ask);
  timer = setTimeout(ask, 1000 * usual);
}

const FOCUSED = "a, [tabindex]";

// Puts the new part in the place of the old one; what has the keyboard's focus keeps it.
function show(part, html) {
  const focused = [...part.querySelectorAll(FOCUSED)].indexOf(document.activeElement);
  const scrolled = [...part.querySelectorAll(".wide")].map((table) => table.scrollLeft);
  part.replaceChildren(...new DOMParser().parseFromString(html, "text/html").body.childNodes);
  [...part.querySelectorAll(".wide")].forEach((table, at) => {
    table.scrollLeft = scrolled[at] || 0;
  });
  if (focused >= 0) {
    part.querySelectorAll(FOCUSED)[focused]?.focus({ preventScroll: true });
  }
}

// Airflow shows this page in a frame that may not change the window's address. A link of the window itself may.
function openInAirflow(event) {
  const link = event.target.closest("a.airflow");
  if (!link || window.parent === window || event.button || event.ctrlKey || event.metaKey || event.shiftKey) {
    return;
  }
  try {
    const outside = window.parent.document.createElement("a");
    outside.href = link.href;
    event.preventDefault();
    outside.click();
  } catch {
    // A frame of another origin: the link opens in it.
  }
}

// Loads the page again, but not while somebody chooses something in a part that is open: that would be lost.
function loadAgain(part) {
  setTimeout(() => {
    if (document.hidden || document.querySelector("main details[open]")) {
      loadAgain(part);
    } else {
      location.reload();
    }
  }, 1000 * Number(part.dataset.again));
}

function offerCopy(button) {
  const list = document.getElementById(button.dataset.copies);
  button.hidden = false;
  button.addEventListener("click", () => {
    list.select();
    button.textContent = document.execCommand("copy") ? "Copied" : "Press Ctrl-C";
  });
}

followTheme();
addEventListener("storage", followTheme);
addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("[data-follow]").forEach(followRun);
  document.querySelectorAll("[data-again]").forEach(loadAgain);
  document.querySelectorAll("[data-copies]").forEach(offerCopy);
  document.addEventListener("click", openInAirflow);
});
