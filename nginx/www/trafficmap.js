// trafficmap.js: draws which channels are hot. The daemon's own page uses it, too.
import { h, rate, still, write } from './dom.js';

const stale = 5000; // ms after which what a daemon told is no news any more
const most = 15; // channels of a kind

export class TrafficMap {
  #root;
  #link;
  #told = new Map(); // by daemon: what it said last, and when
  #kinds = new Map(); // by kind: its element, list, and rows by channel

  // link returns where a channel's row leads to, if anywhere.
  constructor(root, link = () => undefined) {
    this.#root = root;
    this.#link = link;
  }

  // take takes what a daemon tells: {daemon, hot: [{channel, perSecond}…]}.
  take({ daemon, hot }) {
    this.#told.set(daemon, { hot, at: performance.now() });
    this.draw();
  }

  // draw adds up what all daemons have told of late, and returns the sums by kind.
  draw() {
    const sums = new Map();
    for (const [daemon, { hot, at }] of this.#told) {
      if (performance.now() - at > stale) this.#told.delete(daemon);
      else for (const { channel, perSecond } of hot) sums.set(channel, (sums.get(channel) ?? 0) + perSecond);
    }
    const kinds = Map.groupBy([...sums].sort((a, b) => b[1] - a[1]), ([channel]) => channel.split(':', 1)[0]);
    for (const [kind, { element }] of this.#kinds) {
      if (kinds.has(kind)) continue;
      element.remove();
      this.#kinds.delete(kind);
    }
    for (const kind of [...kinds.keys()].sort()) this.#draw(kind, kinds.get(kind).slice(0, most));
    const nothing = this.#root.querySelector(':scope > p');
    if (kinds.size > 0) nothing?.remove();
    else if (!nothing) this.#root.replaceChildren(h('p', { class: 'hint' }, 'Nothing of late.'));
    return new Map([...kinds].map(([kind, list]) => [kind, list.reduce((sum, [, n]) => sum + n, 0)]));
  }

  #draw(kind, list) {
    if (!this.#kinds.has(kind)) {
      const rows = h('ol', { 'aria-label': `Hottest channels of ${kind}` });
      const element = h('div', {}, h('h3', {}, kind), rows);
      this.#kinds.set(kind, { element, rows, byChannel: new Map() });
      const next = [...this.#kinds.keys()].sort().find((other) => other > kind);
      this.#root.insertBefore(element, this.#kinds.get(next)?.element ?? null);
    }
    const { rows, byChannel } = this.#kinds.get(kind);
    const before = new Map([...byChannel].map(([channel, row]) => [channel, row.offsetTop]));
    const hot = new Set(list.map(([channel]) => channel));
    for (const [channel, row] of byChannel) {
      if (hot.has(channel)) continue;
      row.remove();
      byChannel.delete(channel);
    }
    let place = rows.firstElementChild;
    for (const [channel, n] of list) {
      let row = byChannel.get(channel);
      if (!row) byChannel.set(channel, row = this.#row(kind, channel));
      if (row === place) place = place.nextElementSibling;
      else move(rows, row, place);
      row.firstElementChild.style.width = `${(100 * n) / list[0][1]}%`;
      write(row.lastElementChild, `${rate(n)}/s`);
    }
    if (still()) return;
    for (const [channel, row] of byChannel) {
      const moved = (before.get(channel) ?? row.offsetTop) - row.offsetTop;
      if (moved) row.animate([{ transform: `translateY(${moved}px)` }, {}], { duration: 400, easing: 'ease-out' });
    }
  }

  #row(kind, channel) {
    const name = channel.slice(kind.length + 1) || channel;
    const href = this.#link(channel);
    return h('li', { 'data-channel': channel }, h('i', { 'aria-hidden': true }), h('span', {}, href ? h('a', { href }, name) : name), h('span', {}));
  }
}

// move leaves the focus where it is, if the browser can.
function move(list, row, place) {
  if (row.isConnected && list.moveBefore) list.moveBefore(row, place);
  else list.insertBefore(row, place);
}
