// The feature map: points on a plane (plane.js), photos beside them. Whatever comes from a table becomes text of the
// page, never markup.
"use strict";

(() => {
  // Six colours that people who are colour-blind tell apart (Okabe and Ito), and after these another shape.
  const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
  const SHAPES = {
    circle: "M5 1a4 4 0 1 0 .01 0z",
    triangle: "M5 1L9.5 9H.5z",
    rect: "M1.5 1.5h7v7h-7z",
    diamond: "M5 .5L9.5 5 5 9.5.5 5z",
  };
  const STYLES = Object.keys(SHAPES).flatMap((shape) => COLOURS.map((colour) => ({ colour, shape })));
  const REACH = 14; // pixels around the pointer in which a photo is looked for
  const REST = 90; // milliseconds that the pointer rests before a photo is asked for
  const WITHOUT = "without a label";

  const map = document.getElementById("map");
  const place = document.getElementById("chart");
  const card = document.getElementById("card");
  const side = document.getElementById("side");
  const rings = document.getElementById("rings");
  const state = document.getElementById("state");
  const rows = [...document.querySelectorAll("#labels tbody tr")];
  const nameOf = (label) => (label === null ? WITHOUT : label);

  let points; // what the server has sent: labels, x, y, label
  let plane;
  let pressed = new Set(); // labels that are picked out; none: the most frequent ones have colours
  let pointed = -1; // the photo under the pointer, or that the arrow keys have gone to
  let wanted = -1; // the photo that was pressed last, whose answer may not be there yet
  let chosen = []; // the photo that is shown beside the map, and its nearest others
  const known = new Map(); // photos that were asked for, by their number

  function element(name, facts = {}, ...children) {
    const made = Object.assign(document.createElement(name), facts);
    made.append(...children);
    return made;
  }

  function thumbnail(photo) {
    const image = element("img", { alt: "", src: photo.thumbnail });
    return element("div", { className: "thumb" }, image);
  }

  // The labels with a colour of their own, and of each its style.
  function styles() {
    const wanted = points.labels.map((_, at) => at).filter((at) => (pressed.size ? pressed.has(at) : points.labels[at] !== null));
    return new Map(wanted.slice(0, STYLES.length).map((at, place) => [at, STYLES[place]]));
  }

  function draw() {
    const own = styles();
    const counts = new Map();
    for (const label of points.label) {
      const group = own.has(label) ? label : -1;
      counts.set(group, (counts.get(group) || 0) + 1);
    }
    const groups = new Map([...counts].map(([group, count]) => [group, { data: new Float32Array(2 * count), filled: 0 }]));
    points.label.forEach((label, at) => {
      const group = groups.get(own.has(label) ? label : -1);
      group.data[group.filled++] = points.x[at];
      group.data[group.filled++] = points.y[at];
    });
    const size = points.x.length > 20000 ? 3 : points.x.length > 3000 || plane.width < 600 ? 5 : 8;
    const quiet = getComputedStyle(state).color;
    plane.draw(
      [...groups]
        .sort(([one], [other]) => one - other) // what has no colour lies below
        .map(([group, { data }]) =>
          group < 0
            ? { data, shape: "circle", size: Math.max(2, size - 2), colour: quiet, opacity: 0.35 }
            : { data, ...own.get(group), size, opacity: 0.8 },
        ),
    );
    legend(own);
  }

  function showRings() {
    rings.replaceChildren(
      ...[...new Set([pointed, ...chosen])].filter((at) => at >= 0).map((at) => {
        const [left, top] = plane.place(at);
        const ring = element("span", { className: at === pointed || at === chosen[0] ? "chosen" : "" });
        ring.style.left = `${left}px`;
        ring.style.top = `${top}px`;
        return ring;
      }),
    );
  }

  async function ask(at) {
    if (!known.has(at)) {
      const answer = fetch(`${map.dataset.photos}${at}?${map.dataset.made}`).then((found) => {
        if (!found.ok) {
          throw new Error(String(found.status));
        }
        return found.json();
      });
      known.set(at, answer);
      answer.catch(() => known.delete(at));
    }
    return known.get(at);
  }

  function refused(error) {
    state.textContent = ["401", "403", "404"].includes(error.message)
      ? "The map is not there any more, or you may not see it. Load the page again."
      : "Airflow does not answer. Try again.";
  }

  let rest;
  function point(at, told) {
    if (at === pointed) {
      return;
    }
    pointed = at;
    card.hidden = true;
    clearTimeout(rest);
    showRings();
    if (at < 0) {
      return;
    }
    rest = setTimeout(async () => {
      try {
        const photo = await ask(at);
        if (at === pointed) {
          showCard(photo);
          if (told) {
            state.textContent = `${nameOf(photo.label)}, ${photo.name}`;
          }
        }
      } catch (error) {
        refused(error);
      }
    }, REST);
  }

  function showCard(photo) {
    card.querySelector(".thumb").replaceWith(thumbnail(photo));
    card.querySelector("figcaption").textContent = nameOf(photo.label);
    card.hidden = false;
    const [left, top] = plane.place(photo.point);
    const beside = left + 16 + card.offsetWidth > plane.width ? left - 16 - card.offsetWidth : left + 16;
    card.style.left = `${Math.max(4, beside)}px`;
    card.style.top = `${Math.min(Math.max(4, top - card.offsetHeight / 2), plane.height - card.offsetHeight - 4)}px`;
  }

  async function choose(at) {
    wanted = at;
    try {
      const photo = await ask(at);
      if (at !== wanted) {
        return; // another one was pressed meanwhile, or none is chosen any more
      }
      chosen = [at, ...photo.near.map((other) => other.point)];
      plane.reveal(at);
      showRings();
      const near = photo.near.map((other) => {
        const label = element("span", { textContent: nameOf(other.label), className: other.label === photo.label ? "" : "other" });
        const cosine = element("span", { textContent: other.cosine.toFixed(3) });
        const button = element("button", { type: "button", title: other.uri }, thumbnail(other), label, cosine);
        button.addEventListener("click", () => choose(other.point));
        return element("li", {}, button);
      });
      side.replaceChildren(
        thumbnail(photo),
        element("h2", { textContent: nameOf(photo.label) }),
        element("p", { className: "name", textContent: photo.uri }),
        element("p", { className: "name", textContent: `Partition ${photo.partition}` }),
        element("h3", { textContent: near.length ? "Nearest others, by cosine" : "There are no others" }),
        element("ol", {}, ...near),
      );
    } catch (error) {
      if (at === wanted) {
        refused(error);
      }
    }
  }

  function forgetChoice() {
    wanted = -1;
    chosen = [];
    side.replaceChildren(element("p", { className: "empty", textContent: "No photo is chosen yet." }));
    point(-1);
    showRings();
  }

  const KEYS = {
    ArrowRight: () => step([1, 0]),
    ArrowLeft: () => step([-1, 0]),
    ArrowUp: () => step([0, 1]),
    ArrowDown: () => step([0, -1]),
    Enter: () => pointed >= 0 && choose(pointed),
    Escape: forgetChoice,
    "+": () => plane.zoom(1.5),
    "-": () => plane.zoom(1 / 1.5),
    0: seeAll,
  };

  function step(direction) {
    const next = pointed < 0 ? plane.nearestTo(plane.width / 2, plane.height / 2, 1e6) : plane.nextFrom(pointed, direction);
    if (next >= 0) {
      plane.reveal(next);
      point(next, true);
    }
  }

  function seeAll() {
    plane.fit();
    plane.draw();
    moved();
  }

  function moved() {
    card.hidden = true;
    showRings();
  }

  // The table of labels is the legend: a label is a button that picks it out.
  function legend(own) {
    rows.forEach((row, at) => {
      const button = row.querySelector("button");
      const style = own.get(at);
      button.setAttribute("aria-pressed", String(pressed.has(at)));
      const path = button.querySelector("path");
      path.setAttribute("d", SHAPES[style?.shape || "circle"]);
      path.setAttribute("fill", style?.colour || "currentColor");
      path.setAttribute("opacity", style ? "1" : "0.35");
    });
  }

  function makeButtons() {
    for (const [at, row] of rows.entries()) {
      const head = row.querySelector("th");
      const mark = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      mark.setAttribute("viewBox", "0 0 10 10");
      mark.setAttribute("aria-hidden", "true");
      mark.append(document.createElementNS("http://www.w3.org/2000/svg", "path"));
      const button = element("button", { type: "button" }, mark, element("span", { textContent: head.textContent }));
      button.addEventListener("click", () => {
        pressed = new Set([...pressed].filter((other) => other !== at).concat(pressed.has(at) ? [] : [at]));
        draw();
      });
      head.replaceChildren(button);
    }
    const all = element("button", { type: "button", textContent: "All labels" });
    all.addEventListener("click", () => {
      pressed = new Set();
      draw();
    });
    const text = element("input", { type: "search", placeholder: "Find a label", ariaLabel: "Find a label" });
    text.addEventListener("input", () => {
      for (const row of rows) {
        row.hidden = !row.querySelector("th").textContent.toLowerCase().includes(text.value.toLowerCase());
      }
    });
    document.getElementById("find").append(text, all);
  }

  function listen() {
    const at = (event) => plane.nearestTo(event.offsetX, event.offsetY, REACH);
    let [downX, downY] = [0, 0];
    place.addEventListener("pointerdown", (event) => ([downX, downY] = [event.clientX, event.clientY]));
    place.addEventListener("pointermove", (event) => event.buttons || point(at(event), false));
    place.addEventListener("pointerleave", () => point(-1));
    place.addEventListener("click", (event) => {
      if (Math.hypot(event.clientX - downX, event.clientY - downY) > 4) {
        return; // the plane was moved
      }
      const found = at(event);
      if (found >= 0) {
        choose(found);
      }
    });
    place.addEventListener("keydown", (event) => {
      if (KEYS[event.key] && !event.ctrlKey && !event.metaKey && !event.altKey) {
        event.preventDefault();
        KEYS[event.key]();
      }
    });
    document.getElementById("nearer").addEventListener("click", () => plane.zoom(1.5));
    document.getElementById("farther").addEventListener("click", () => plane.zoom(1 / 1.5));
    document.getElementById("whole").addEventListener("click", seeAll);
    new MutationObserver(draw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  }

  async function begin() {
    try {
      const answer = await fetch(`${map.dataset.points}?${map.dataset.made}`);
      if (!answer.ok) {
        throw new Error(String(answer.status));
      }
      points = await answer.json();
    } catch (error) {
      refused(error);
      return;
    }
    plane = new Plane(place, points.x, points.y, moved);
    makeButtons();
    draw();
    listen();
    state.textContent = "";
    map.dataset.ready = "";
  }

  begin();
})();
