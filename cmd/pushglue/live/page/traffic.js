// traffic.js: the map of traffic. It comes through the push hosts as readers' messages do, or, without a stream, with the status.
import { $, h, write } from './dom.js';
import { rate } from './rates.js';

const stale = 5000; // ms after which what a daemon told is no news any more
const most = 15; // channels of a kind

const told = new Map(); // by daemon: what it said last, and when
let source;

export function showTraffic(traffic) {
  if (!traffic.stream) return take(traffic);
  source ??= open(traffic.stream);
  draw();
}

function open(url) {
  const stream = new EventSource(url);
  stream.addEventListener('traffic', (event) => {
    try { take(JSON.parse(event.data)); } catch { /* somebody else's message */ }
  });
  stream.onopen = () => write($('traffic-hint'), 'Messages a second of the hottest channels, live through a push host.');
  stream.onerror = () => {
    write($('traffic-hint'), `The push host does not answer: ${url}`);
    if (stream.readyState === EventSource.CLOSED) setTimeout(() => { source = undefined; }, 2000); // the next status opens another
  };
  return stream;
}

function take({ daemon, hot }) {
  told.set(daemon, { hot, at: performance.now() });
  draw();
}

// draw adds up what all daemons tell.
function draw() {
  const sums = new Map();
  for (const [daemon, { hot, at }] of told) {
    if (performance.now() - at > stale) told.delete(daemon);
    else for (const { channel, perSecond } of hot) sums.set(channel, (sums.get(channel) ?? 0) + perSecond);
  }
  const kinds = Map.groupBy([...sums].sort((a, b) => b[1] - a[1]), ([channel]) => channel.split(':', 1)[0]);
  $('traffic').replaceChildren(...[...kinds].sort(([a], [b]) => a.localeCompare(b)).map(([kind, list]) => h('div', {},
    h('h3', {}, kind),
    h('ol', { 'aria-label': `Hottest channels of ${kind}` }, ...list.slice(0, most).map(([channel, n]) => {
      const bar = h('i', { 'aria-hidden': true });
      bar.style.width = `${(100 * n) / list[0][1]}%`;
      return h('li', { 'data-channel': channel }, bar, h('span', {}, channel.slice(kind.length + 1) || channel), h('span', {}, `${rate(n)}/s`));
    })))));
  if (sums.size === 0) $('traffic').replaceChildren(h('p', { class: 'hint' }, 'Nothing of late.'));
}
