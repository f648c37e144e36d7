// way.js: the picture of the way from the feed through the pipelines, which lights up with each job.
import { duration, h, still } from './dom.js';
import { Drawing } from './drawing.js';

const step = 120; // ms that the light takes from one column to the next
const pause = 250; // ms between lights: more than that nobody can follow

export class Way extends Drawing {
  #byNode = new Map();
  #light = 0; // when the last one was lit

  // onChoose is called with the place that is chosen.
  constructor(root, data, onChoose) {
    super(root, data, (place) => {
      place.took = h('span', { class: 'took' }, ' ');
      const button = h('button', { type: 'button', 'aria-pressed': 'false', onclick: () => onChoose(place) },
        h('span', { class: 'name' }, place.name), place.took);
      if (place.kind === 'feed') button.prepend(h('span', { class: 'kind' }, 'feed'));
      if (place.pipeline) button.append(h('span', { class: 'pipeline' }, place.pipeline));
      return button;
    });
    for (const place of this.places) this.#byNode.set(place.node, place);
    for (const edge of this.edges) {
      edge.pulse = this.line();
      edge.pulse.setAttribute('class', 'pulse');
      edge.pulse.setAttribute('pathLength', '100');
    }
    this.lay();
  }

  place(node) { return this.#byNode.get(node); }

  // choose marks a place as the one that is shown.
  choose(node) {
    for (const place of this.places) place.element.setAttribute('aria-pressed', String(place.node === node));
  }

  // show writes a job's times to the places and, unless lights come too fast, lets one run along its way.
  show(trace) {
    const visited = new Map(trace.steps.map((s) => [s.node, s]));
    for (const [node, s] of visited) {
      const place = this.#byNode.get(node);
      if (!place) continue;
      place.took.textContent = s.outcome === 'on' || s.outcome === 'published' ? duration(s.took) : s.outcome;
      place.element.dataset.outcome = s.outcome;
    }
    this.#byNode.get(0).took.textContent = duration(trace.waited);
    this.#byNode.get(-1).took.textContent = trace.verdict === 'finish' ? duration(trace.took) : trace.verdict;
    this.#byNode.get(-1).element.dataset.outcome = trace.verdict;
    const now = performance.now();
    if (document.hidden || now - this.#light < pause) return;
    this.#light = now;
    for (const place of this.places) {
      if (place.node > 0 && !visited.has(place.node)) continue;
      place.element.animate([{ backgroundColor: 'var(--lit)', borderColor: 'var(--accent)' }, {}],
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
