// feed.js: a feed, and the way from it through its pipelines, with rates at the joints.
import { h, rate, write } from './dom.js';
import { Drawing } from './drawing.js';
import { count, seconds } from './rates.js';

const gap = 44; // px of a joint: five characters

export class Feed {
  constructor(status) {
    this.name = status.name;
    this.shape = JSON.stringify(status.way);
    const way = h('div', { class: 'way', role: 'group', 'aria-label': `The way from feed ${status.name} through its pipelines` });
    this.sums = h('p', { class: 'sums' });
    this.error = h('p', { class: 'bad', hidden: true });
    this.element = h('div', { class: 'feed' }, h('h3', {}, `Feed ${status.name}`), this.sums, this.error, way);
    this.drawing = new Drawing(way, { feed: status.name, way: status.way }, (place) => {
      place.took = h('span', { class: 'took' }, ' ');
      const element = h('div', {}, h('span', { class: 'name' }, place.name), place.took);
      if (place.kind === 'publisher') element.append(h('span', { class: 'pipeline' }, place.pipeline + (place.shadow ? ' (shadow)' : '')));
      return element;
    }, gap);
    for (const edge of this.drawing.edges) {
      edge.rate = h('span', {}, '–');
      edge.label = h('span', { class: 'rate' }, edge.rate, h('span', { class: 'unseen' }, ` to ${edge.to.name}`));
      edge.from.element.after(edge.label); // where it is read
      edge.counter = this.#counter(edge);
    }
  }

  // #counter returns what finds in a status what has gone over an edge.
  #counter({ from, to }) {
    const feed = (s) => s.feeds.find((f) => f.name === this.name)?.ledger;
    const pipeline = (s, name) => s.pipelines.find((p) => p.name === name);
    switch (to.kind) {
      case 'stage': return (s) => pipeline(s, to.pipeline)?.stages[to.stage]?.in;
      case 'publisher': return (s) => pipeline(s, to.pipeline)?.publish.in;
    }
    if (from.kind === 'publisher') return (s) => pipeline(s, from.pipeline)?.publish.published;
    return (s) => feed(s)?.finished;
  }

  show(status, rates) {
    const feed = status.feeds.find((f) => f.name === this.name);
    const own = (name) => rates.of((s) => s.feeds.find((f) => f.name === this.name)?.[name]);
    const sum = (text, value, bad) => h('span', { class: bad ? 'bad' : undefined }, h('b', {}, value), ` ${text}`);
    this.sums.replaceChildren(
      sum('put/s', rate(own('put'))), sum('finished/s', rate(own('finished'))),
      sum('queued', count(feed.queued)), sum('claimed', count(feed.claimed)), sum('stalled', count(feed.stalled), feed.stalled > 0),
      ...(feed.lost ? [sum('lost', count(feed.lost), true)] : []),
      sum('oldest', seconds(feed.oldestSeconds), feed.oldestSeconds > 10),
      ...(feed.took.count ? [sum('half of the jobs', `${seconds(feed.took.p50Seconds)}`), sum('99 of 100', seconds(feed.took.p99Seconds))] : []),
    );
    this.error.hidden = !feed.error;
    write(this.error, feed.error ? `Redis does not tell: ${feed.error}` : '');
    for (const place of this.drawing.places) this.#place(place, feed, status, rates);
    for (const edge of this.drawing.edges) {
      const n = rates.of(edge.counter);
      write(edge.rate, rate(n) + (n === undefined ? '' : '/s'));
      edge.label.classList.toggle('moving', n > 0);
      edge.line.classList.toggle('flowing', n > 0);
      edge.line.style.setProperty('--flow', String(n > 0 ? Math.min(7, 2 + Math.log10(1 + n)) : 1.5));
    }
  }

  #place(place, feed, status, rates) {
    const pipeline = status.pipelines.find((p) => p.name === place.pipeline);
    const lost = (what, name) => { const n = rates.of((s) => what(s.pipelines.find((p) => p.name === place.pipeline))?.[name]); return n > 0 ? `${rate(n)}/s ${name}` : ''; };
    let [text, bad] = ['', false];
    switch (place.kind) {
      case 'feed': [text, bad] = [`${count(feed.queued)} queued`, feed.oldestSeconds > 10 || Boolean(feed.error)]; break;
      case 'stage': text = lost((p) => p?.stages[place.stage], 'failed') || lost((p) => p?.stages[place.stage], 'dropped'); bad = text.endsWith('failed'); break;
      case 'publisher': text = lost((p) => p?.publish, 'failed') || `${count(pipeline?.publish.inFlight ?? 0)} in flight`; bad = text.endsWith('failed'); break;
      case 'end': text = `${rate(rates.of((s) => s.feeds.find((f) => f.name === this.name)?.ledger.finished))}/s`; break;
    }
    place.took.hidden = !text;
    write(place.took, text);
    place.element.classList.toggle('bad', bad);
  }
}
