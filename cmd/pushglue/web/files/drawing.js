// drawing.js: draws the way from a feed through its pipelines: places, and the lines between them.

const svg = 'http://www.w3.org/2000/svg';

// plan gives each place of the way a column and a lane, and returns places and the edges between them.
// Branches lie below each other; what they have in common lies on the lane of the first.
function plan({ feed, way }) {
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

// Drawing lays places and lines in root. Each place gets the element that make returns for it; an edge may have a label, an
// element that stands over it: at the end, but at the start where many come together. gap is how much of a line there is at least.
export class Drawing {
  constructor(root, data, make, gap = 13) {
    this.root = root;
    this.gap = gap;
    Object.assign(this, plan(data));
    this.svg = document.createElementNS(svg, 'svg');
    this.svg.setAttribute('aria-hidden', 'true');
    root.replaceChildren(this.svg);
    for (const place of this.places) {
      place.element = make(place);
      place.element.classList.add('place', place.kind);
      root.append(place.element);
    }
    for (const edge of this.edges) edge.line = this.line();
    new ResizeObserver(() => this.lay()).observe(root);
  }

  // line adds an empty line to the picture.
  line() { return this.svg.appendChild(document.createElementNS(svg, 'path')); }

  // lay puts everything where there is room: from left to right or, on a phone, from top to bottom.
  lay() {
    const width = this.root.clientWidth;
    const down = width < 620;
    const along = down ? 70 : width / this.columns;
    const across = down ? width / this.lanes : 88;
    const size = down ? { w: Math.min(across - 10, 120), h: 46 } : { w: Math.min(along - this.gap, 96), h: 46 };
    const centre = (place) => {
      const [a, b] = [(place.column + 0.5) * along, (place.lane + 0.5) * across];
      return down ? { x: b, y: a } : { x: a, y: b };
    };
    const height = down ? along * this.columns : across * this.lanes;
    this.root.style.height = `${height}px`;
    this.root.classList.toggle('down', down);
    this.svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
    for (const place of this.places) {
      const { x, y } = centre(place);
      Object.assign(place.element.style, {
        left: `${x - size.w / 2}px`, top: `${y - size.h / 2}px`, width: `${size.w}px`, height: `${size.h}px`,
      });
    }
    for (const edge of this.edges) {
      const path = bend(centre(edge.from), centre(edge.to), size, down, edge.to.kind === 'end');
      edge.line.setAttribute('d', path);
      edge.pulse?.setAttribute('d', path);
      if (edge.label) this.#label(edge, centre, size, down);
    }
  }

  #label({ label, from, to }, centre, size, down) {
    const early = to.kind === 'end';
    const { x, y } = centre(early ? from : to);
    Object.assign(label.style, down
      ? { left: `${x + 5}px`, top: `${early ? y + size.h / 2 + 14 : y - size.h / 2 - 20}px` }
      : { left: `${early ? x + size.w / 2 + 3 : x - size.w / 2 - this.gap + 1}px`, top: `${y - 20}px`, width: `${this.gap - 4}px` });
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
