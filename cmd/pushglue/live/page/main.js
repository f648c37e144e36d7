// main.js: asks the daemon every second, and shows what it says.
import { $, age, h, rate, write } from './dom.js';
import { Feed } from './feed.js';
import { isDead, showHosts } from './hosts.js';
import { Rates, seconds } from './rates.js';
import { showStalled } from './stalled.js';
import { showTraffic } from './traffic.js';

const every = 1000; // ms
const patience = 8000; // ms for an answer, for which the daemon may wait for others

const rates = new Rates();
const feeds = new Map(); // by name
const dead = new Map(); // by host: whether it is
let shown; // of the log

for (;;) {
  const begun = performance.now();
  const status = await ask();
  if (status) show(status);
  setState(...(status ? ['live', 'live'] : ['lost', 'the daemon does not answer']));
  await new Promise((resolve) => { setTimeout(resolve, Math.max(100, every - (performance.now() - begun))); });
}

// ask returns the daemon's status, or nothing if it does not answer.
async function ask() {
  try {
    const response = await fetch('status', { signal: AbortSignal.timeout(patience) });
    if (response.ok) return await response.json();
  } catch { /* the same as an answer that is none */ }
  return undefined;
}

function setState(state, text) {
  if ($('state').dataset.state === state) return;
  const first = $('state').dataset.state === 'connecting';
  $('state').dataset.state = state;
  write($('state').lastElementChild, text);
  document.body.classList.toggle('gone', state === 'lost');
  if (!first || state === 'lost') tell(state === 'live' ? 'The daemon answers again.' : 'The daemon does not answer.');
}

// tell says something to those who listen: only what changes how things stand.
function tell(text) { write($('news'), text); }

function show(status) {
  rates.take(status);
  write($('version'), status.version);
  write($('uptime'), seconds((Date.parse(status.at) - Date.parse(status.started)) / 1000));
  write($('rate'), rate(rates.of((s) => s.feeds.reduce((n, f) => n + f.ledger.finished, 0))));
  showBadge(status.discrepancies);
  showFeeds(status);
  showHosts(status.hosts, rates);
  tellHosts(status.hosts);
  showStalled(status);
  showTraffic(status.traffic);
  showLog(status.log);
}

function showBadge(discrepancies) {
  const state = discrepancies.length ? 'wrong' : 'good';
  if (state === 'wrong' && $('badge').dataset.state !== state) tell('The sums do not agree.');
  $('badge').dataset.state = state;
  $('badge').title = discrepancies.map((d) => d.text).join('\n');
  write($('badge').firstElementChild, discrepancies.length ? discrepancies.map((d) => d.text).join('; ') : 'the sums agree');
}

function showFeeds(status) {
  const same = status.feeds.length === feeds.size && status.feeds.every((f) => feeds.get(f.name)?.shape === JSON.stringify(f.way));
  if (!same) { // another start of the daemon
    feeds.clear();
    for (const f of status.feeds) feeds.set(f.name, new Feed(f));
    $('feeds').replaceChildren(...[...feeds.values()].map((f) => f.element));
  }
  for (const feed of feeds.values()) feed.show(status, rates);
}

function tellHosts(hosts) {
  const news = [];
  for (const host of hosts) {
    const is = isDead(host);
    if ((dead.get(host.name) ?? false) !== is) news.push(`Push host ${host.name} ${is ? 'is down' : 'is up again'}.`);
    dead.set(host.name, is);
  }
  if (news.length) tell(news.join(' '));
}

function showLog(lines) {
  const text = JSON.stringify(lines);
  if (text !== shown) {
    $('log').replaceChildren(...lines.map((line) => h('li', {},
      h('p', { class: line.level === 'warn' ? undefined : 'bad' }, `${line.level}: ${line.message}${line.times > 1 ? ` (${line.times} times)` : ''}`),
      h('time', { datetime: line.at }, ''),
      h('p', { class: 'fields' }, Object.entries(line.fields).map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`).join('  ')))));
    if (!lines.length) $('log').replaceChildren(h('li', {}, h('p', { class: 'hint' }, 'None.')));
  }
  shown = text;
  for (const time of $('log').querySelectorAll('time')) write(time, age(Date.parse(time.dateTime)));
}
