// way.js: the picture of the way from the feed through the pipelines, which lights up with each job.
import { duration, h, still } from './dom.js';

const step = 120; // ms that the light takes from one column to the next
const pause = 250; // ms between lights: more than that nobody can follow
const svg = 'http://www.w3.org/2000/svg';

// plan gives each place of the way a column and a lane, and returns places and the edges between them.
// Branches lie below each other; what they have in common lies on the lane of the first.
export function plan({ feed, way }) {
  const places = [];
  const edges = [];
  const add = (from, place) => {
    places.push(place);
    if (from) edges.push({ from, to: place });
    return place;
  };
  let lanes = 0;
  const ends = [];
  const walk = (piece, from, column) => {
    const lane = lanes;
    for (const stage of piece.stages) {
      from = add(from, { ...stage, kind: 'stage', column: column++, lane });
    }
    if (piece.publisher) {
      ends.push(add(from, { ...piece.publisher, kind: 'publisher', lane }));
      lanes++;
    }
    for (const branch of piece.branches ?? []) walk(branch, from, column);
  };
  const first = add(null, { node: 0, name: feed, kind: 'feed', column: 0, lane: 0 });
  walk(way, first, 1);
  const column = Math.max(...places.map((p) => p.column ?? 0)) + 1;
  ends.forEach((end) => { end.column = column; });
  const last = add(null, { node: -1, name: 'finished', kind: 'end', column: column + 1, lane: (lanes - 1) / 2 });
  ends.forEach((end) => edges.push({ from: end, to: last }));
  return { places, edges, columns: column + 2, lanes };
}

export class Way {
  #byNode = new Map();
  #light = 0; // when the last one was lit

  // onChoose is called with the place that is chosen.
  constructor(root, data, onChoose) {
    this.root = root;
    Object.assign(this, plan(data));
    this.drawing = document.createElementNS(svg, 'svg');
    this.drawing.setAttribute('aria-hidden', 'true');
    root.replaceChildren(this.drawing);
    for (const place of this.places) {
      place.took = h('span', { class: 'took' }, ' ');
      place.button = h('button', { type: 'button', class: place.kind, 'aria-pressed': 'false', onclick: () => onChoose(place) },
        h('span', { class: 'name' }, place.name), place.took);
      if (place.kind === 'feed') place.button.prepend(h('span', { class: 'kind' }, 'feed'));
      if (place.pipeline) place.button.append(h('span', { class: 'pipeline' }, place.pipeline));
      this.#byNode.set(place.node, place);
      root.append(place.button);
    }
    for (const edge of this.edges) {
      edge.line = this.drawing.appendChild(document.createElementNS(svg, 'path'));
      edge.pulse = this.drawing.appendChild(document.createElementNS(svg, 'path'));
      edge.pulse.setAttribute('class', 'pulse');
      edge.pulse.setAttribute('pathLength', '100');
    }
    new ResizeObserver(() => this.#lay()).observe(root);
    this.#lay();
  }

  place(node) { return this.#byNode.get(node); }

  // choose marks a place as the one that is shown.
  choose(node) {
    for (const place of this.places) place.button.setAttribute('aria-pressed', String(place.node === node));
  }

  // lay puts everything where there is room: from left to right or, on a phone, from top to bottom.
  #lay() {
    const width = this.root.clientWidth;
    const down = width < 620;
    const along = down ? 70 : width / this.columns;
    const across = down ? width / this.lanes : 88;
    const size = down ? { w: Math.min(across - 10, 120), h: 46 } : { w: Math.min(along - 13, 96), h: 46 };
    const centre = (place) => {
      const [a, b] = [(place.column + 0.5) * along, (place.lane + 0.5) * across];
      return down ? { x: b, y: a } : { x: a, y: b };
    };
    const height = down ? along * this.columns : across * this.lanes;
    this.root.style.height = `${height}px`;
    this.root.classList.toggle('down', down);
    this.drawing.setAttribute('viewBox', `0 0 ${width} ${height}`);
    for (const place of this.places) {
      const { x, y } = centre(place);
      Object.assign(place.button.style, {
        left: `${x - size.w / 2}px`, top: `${y - size.h / 2}px`, width: `${size.w}px`, height: `${size.h}px`,
      });
    }
    for (const edge of this.edges) {
      const path = bend(centre(edge.from), centre(edge.to), size, down, edge.to.kind === 'end');
      edge.line.setAttribute('d', path);
      edge.pulse.setAttribute('d', path);
    }
  }

  // show writes a job's times to the places and, unless lights come too fast, lets one run along its way.
  show(trace) {
    const visited = new Map(trace.steps.map((s) => [s.node, s]));
    for (const [node, s] of visited) {
      const place = this.#byNode.get(node);
      if (!place) continue;
      place.took.textContent = s.outcome === 'on' || s.outcome === 'published' ? duration(s.took) : s.outcome;
      place.button.dataset.outcome = s.outcome;
    }
    this.#byNode.get(0).took.textContent = duration(trace.waited);
    this.#byNode.get(-1).took.textContent = trace.verdict === 'finish' ? duration(trace.took) : trace.verdict;
    this.#byNode.get(-1).button.dataset.outcome = trace.verdict;
    const now = performance.now();
    if (document.hidden || now - this.#light < pause) return;
    this.#light = now;
    for (const place of this.places) {
      if (place.node > 0 && !visited.has(place.node)) continue;
      place.button.animate([{ backgroundColor: 'var(--lit)', borderColor: 'var(--accent)' }, {}],
        { delay: still() ? 0 : place.column * step, duration: 900, easing: 'ease-out' });
    }
    if (still()) return;
    for (const { from, to, pulse } of this.edges) {
      if (to.node > 0 && !visited.has(to.node) || from.node > 0 && !visited.has(from.node)) continue;
      pulse.animate([{ strokeDashoffset: 14, opacity: 1 }, { strokeDashoffset: -100, opacity: 1 }],
        { delay: from.column * step, duration: (to.column - from.column) * step + 60, easing: 'linear' });
    }
  }
}

// bend draws a line between two places with round corners. It leaves its lane at once, or where many
// come together, at the end.
function bend(from, to, size, down, atEnd) {
  const swap = ({ x, y }) => (down ? { x: y, y: x } : { x, y });
  const [a, b] = [swap(from), swap(to)];
  const half = (down ? size.h : size.w) / 2;
  const [start, end] = [a.x + half, b.x - half];
  const at = (x, y) => (down ? `${y} ${x}` : `${x} ${y}`);
  if (Math.abs(a.y - b.y) < 1) return `M${at(start, a.y)}L${at(end, b.y)}`;
  const turn = atEnd ? end - 8 : start + 8;
  const r = Math.min(8, Math.abs(b.y - a.y) / 2);
  const way = Math.sign(b.y - a.y);
  return `M${at(start, a.y)}L${at(turn - r, a.y)}Q${at(turn, a.y)} ${at(turn, a.y + way * r)}` +
    `L${at(turn, b.y - way * r)}Q${at(turn, b.y)} ${at(turn + r, b.y)}L${at(end, b.y)}`;
}
