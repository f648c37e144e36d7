// traffic.js: the map of traffic comes through the push hosts as readers' messages do, or, without a stream, with the status.
import { $, write } from './dom.js';
import { TrafficMap } from './trafficmap.js';

const map = new TrafficMap($('traffic'));
let source;

export function showTraffic(traffic) {
  if (!traffic.stream) {
    map.take(traffic);
    return;
  }
  source ??= open(traffic.stream);
  map.draw();
}

function open(url) {
  const stream = new EventSource(url);
  stream.addEventListener('traffic', (event) => {
    try { map.take(JSON.parse(event.data)); } catch { /* somebody else's message */ }
  });
  stream.onopen = () => write($('traffic-hint'), 'Messages a second of the hottest channels, live through a push host.');
  stream.onerror = () => {
    write($('traffic-hint'), `The push host does not answer: ${url}`);
    if (stream.readyState === EventSource.CLOSED) setTimeout(() => { source = undefined; }, 2000); // the next status opens another
  };
  return stream;
}
