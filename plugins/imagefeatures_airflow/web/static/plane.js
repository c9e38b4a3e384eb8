// A plane of points that can be moved and zoomed, drawn by Apache ECharts. A hundred thousand points take a tenth of a
// second to draw: too long for every step of a movement. So while the plane moves, the picture that is there is moved,
// which is larger than what is seen of it, and it is drawn anew when the movement rests.
"use strict";

const BEYOND = 0.25; // of the plane's size: so much is drawn beyond each of its edges
const REST_TO_DRAW = 120; // milliseconds without a movement after which the picture is drawn anew
const CLOSEST = 200; // so many times the plane can be magnified

class Plane {
  // x, y: of the points. moved: called whenever points have another place on the screen.
  constructor(element, x, y, moved) {
    [this.element, this.x, this.y, this.moved] = [element, Float32Array.from(x), Float32Array.from(y), moved];
    this.fingers = new Map(); // that are on the plane, or the mouse: where each is
    this.canvas = document.createElement("div");
    this.canvas.className = "canvas";
    element.append(this.canvas);
    this.measure();
    this.chart = echarts.init(this.canvas, null, { renderer: "canvas", width: this.canvas.clientWidth, height: this.canvas.clientHeight });
    this.chart.setOption({ animation: false, grid: { left: 0, right: 0, top: 0, bottom: 0 } });
    this.fit();
    this.listen();
  }

  measure() {
    // A page that nobody sees may have no size: with 1 everything stays a number until it has one again.
    [this.width, this.height] = [this.element.clientWidth, this.element.clientHeight].map((side) => Math.max(1, side));
    this.canvas.style.inset = `${-BEYOND * this.height}px ${-BEYOND * this.width}px`;
  }

  // All points, by one scale in both directions.
  fit() {
    const ends = (values) => values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
    const [[left, right], [low, high]] = [ends(this.x), ends(this.y)];
    this.whole = 1.08 * Math.max((right - left) / this.width, (high - low) / this.height, 1e-6);
    this.extent = { left, right, low, high };
    this.view = { x: (left + right) / 2, y: (low + high) / 2, unit: this.whole };
  }

  // groups: of each its data (x, y, x, y, …), shape, size, colour and opacity; the first lie below.
  draw(groups) {
    this.drawn = { ...this.view };
    const axis = (middle, pixels) => {
      const half = (this.view.unit * pixels * (1 + 2 * BEYOND)) / 2;
      return { type: "value", show: false, min: middle - half, max: middle + half };
    };
    const option = { xAxis: axis(this.view.x, this.width), yAxis: axis(this.view.y, this.height) };
    if (groups) {
      option.series = groups.map(({ data, shape, size, colour, opacity }) => ({
        type: "scatter",
        large: true,
        largeThreshold: 0,
        progressive: 0,
        silent: true,
        clip: true,
        data,
        dimensions: ["x", "y"],
        symbol: shape,
        symbolSize: size,
        itemStyle: { color: colour, opacity },
      }));
    }
    this.chart.setOption(option, groups ? { replaceMerge: ["series"] } : {});
    this.chart.getZr().flush();
    this.canvas.style.transform = "";
  }

  // Where a point is, in pixels of the element.
  place(at) {
    const { x, y, unit } = this.view;
    return [this.width / 2 + (this.x[at] - x) / unit, this.height / 2 - (this.y[at] - y) / unit];
  }

  // The point nearest to a place, in pixels; -1 where none is in reach.
  nearestTo(left, top, reach) {
    const { x, y, unit } = this.view;
    const [wantedX, wantedY] = [x + (left - this.width / 2) * unit, y - (top - this.height / 2) * unit];
    let [best, least] = [-1, (reach * unit) ** 2];
    for (let at = 0; at < this.x.length; at++) {
      const distance = (this.x[at] - wantedX) ** 2 + (this.y[at] - wantedY) ** 2;
      if (distance < least) {
        [best, least] = [at, distance];
      }
    }
    return best;
  }

  // The nearest point to the right of one (1, 0), to its left, above (0, 1) or below; -1 where there is none.
  nextFrom(at, [right, up]) {
    let [best, least] = [-1, Infinity];
    for (let other = 0; other < this.x.length; other++) {
      const [dx, dy] = [this.x[other] - this.x[at], this.y[other] - this.y[at]];
      const ahead = dx * right + dy * up;
      const aside = Math.abs(dx * up + dy * right);
      if (ahead > 0 && aside <= ahead && ahead + 2 * aside < least) {
        [best, least] = [other, ahead + 2 * aside];
      }
    }
    return best;
  }

  // Make the plane larger or smaller; the place (left, top) stays where it is. By default that is the middle.
  zoom(factor, left = this.width / 2, top = this.height / 2) {
    const unit = Math.min(this.whole * 1.5, Math.max(this.whole / CLOSEST, this.view.unit / factor));
    const gained = this.view.unit - unit;
    this.go(this.view.x + (left - this.width / 2) * gained, this.view.y - (top - this.height / 2) * gained, unit);
  }

  // Move what is seen by so many pixels.
  move(right, down) {
    this.go(this.view.x - right * this.view.unit, this.view.y + down * this.view.unit, this.view.unit);
  }

  // Bring a point into sight that is not.
  reveal(at) {
    const [left, top] = this.place(at);
    if (left < 0 || top < 0 || left > this.width || top > this.height) {
      this.go(this.x[at], this.y[at], this.view.unit);
    }
  }

  go(x, y, unit) {
    const { left, right, low, high } = this.extent;
    this.view = { x: Math.min(right, Math.max(left, x)), y: Math.min(high, Math.max(low, y)), unit };
    const scale = this.drawn.unit / unit;
    const [dx, dy] = [(this.drawn.x - this.view.x) / unit, (this.view.y - this.drawn.y) / unit];
    this.canvas.style.transform = `translate(${dx}px, ${dy}px) scale(${scale})`;
    this.moved();
    clearTimeout(this.rest);
    this.rest = setTimeout(() => this.settle([dx, dy]), REST_TO_DRAW);
  }

  // Draw the picture anew, unless the plane is still held and what there is covers it.
  settle([dx, dy]) {
    const covers = Math.abs(dx) < BEYOND * this.width && Math.abs(dy) < BEYOND * this.height;
    if (this.fingers.size && covers && this.drawn.unit === this.view.unit) {
      this.rest = setTimeout(() => this.settle([dx, dy]), REST_TO_DRAW);
    } else {
      this.draw();
    }
  }

  listen() {
    const { element, fingers } = this;
    const middle = () => {
      const places = [...fingers.values()];
      const [x, y] = [0, 1].map((side) => places.reduce((sum, place) => sum + place[side], 0) / places.length);
      return { x, y, spread: Math.hypot(...[0, 1].map((side) => places[0][side] - places.at(-1)[side])) };
    };
    element.addEventListener("pointerdown", (event) => {
      fingers.set(event.pointerId, [event.offsetX, event.offsetY]);
      element.setPointerCapture(event.pointerId);
    });
    element.addEventListener("pointermove", (event) => {
      if (!fingers.has(event.pointerId)) {
        return;
      }
      const before = middle();
      fingers.set(event.pointerId, [event.offsetX, event.offsetY]);
      const after = middle();
      this.move(after.x - before.x, after.y - before.y);
      if (before.spread && after.spread) {
        this.zoom(after.spread / before.spread, after.x, after.y);
      }
    });
    for (const end of ["pointerup", "pointercancel"]) {
      element.addEventListener(end, (event) => fingers.delete(event.pointerId));
    }
    element.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        this.zoom(Math.exp(-Math.max(-150, Math.min(150, event.deltaY)) / 300), event.offsetX, event.offsetY);
      },
      { passive: false },
    );
    new ResizeObserver(() => {
      const before = this.whole;
      this.measure();
      this.chart.resize({ width: this.canvas.clientWidth, height: this.canvas.clientHeight });
      const { x, y, unit } = this.view;
      this.fit();
      this.view = { x, y, unit: (unit * this.whole) / before };
      this.draw();
      this.moved();
    }).observe(element);
  }
}
