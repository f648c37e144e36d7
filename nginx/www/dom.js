// dom.js: what the other modules build and write the page with.

// h makes an element. Properties whose value is false or undefined are left out.
export function h(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === false || value === undefined) continue;
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true && !key.startsWith('aria-') ? '' : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

// write changes an element's text, if it is another one: else a screen reader may say it again.
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// The page's own parts, found before there is any comment in it: what a visitor writes may have ids too.
const parts = new Map([...document.querySelectorAll('[id]')].map((element) => [element.id, element]));

export const $ = (id) => parts.get(id);

// still reports whether the reader wants no movement.
const motion = matchMedia('(prefers-reduced-motion: reduce)');
export const still = () => motion.matches;

// duration writes microseconds.
export function duration(us) {
  if (us < 1) return '<1 µs';
  if (us < 1000) return `${us} µs`;
  if (us < 10_000) return `${(us / 1000).toFixed(1)} ms`;
  if (us < 1_000_000) return `${Math.round(us / 1000)} ms`;
  return `${(us / 1_000_000).toFixed(1)} s`;
}

// rate writes a rate in five characters or less.
export function rate(n) {
  if (n === undefined) return '–';
  if (n === 0) return '0';
  if (n < 0.05) return '<0.1';
  if (n < 10) return n.toFixed(1);
  if (n < 10_000) return String(Math.round(n));
  return n < 1e6 ? `${Math.round(n / 1000)}k` : `${(n / 1e6).toFixed(1)}M`;
}

export function age(date, now = Date.now()) {
  const s = Math.max(0, Math.round((now - date) / 1000));
  if (s < 5) return 'now';
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h`;
  return new Date(date).toLocaleDateString();
}

// Digits is a number that JavaScript would write otherwise than its JSON does, such as an integer
// beyond 2^53: it keeps its digits.
class Digits {
  constructor(source) { this.source = source; }
  toString() { return this.source; }
  toJSON() { return this.source; }
}

// parse is JSON.parse that loses no digits, where the browser tells them.
export function parse(text) {
  return JSON.parse(text, (_, value, context) =>
    typeof value === 'number' && context?.source && String(value) !== context.source ? new Digits(context.source) : value);
}

export const isObject = (v) => v !== null && typeof v === 'object' && !(v instanceof Digits);
