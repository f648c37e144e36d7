// main.js: puts the page together.
import { $, h, parse } from './dom.js';
import { Composer } from './compose.js';
import { Jobs } from './jobs.js';
import { showLedger } from './ledger.js';
import { Subscription } from './pushglue.js';
import { showState } from './state.js';
import { Thread } from './thread.js';
import { Way } from './way.js';

const everything = 'firehose';
const own = '1'; // the visitors' thread

const [way, threads, keys] = await Promise.all(['/demo-way', '/demo-threads', '/demo-keys'].map(load));

// load asks until there is an answer: without it there is no page.
async function load(url) {
  for (;;) {
    try {
      const response = await fetch(url);
      if (response.ok) return await response.json();
    } catch { /* the same as an answer that is none */ }
    $('way').replaceChildren(h('p', { class: 'hint wrong' }, 'The demo does not answer. The page asks again every 2 seconds.'));
    await new Promise((resolve) => { setTimeout(resolve, 2000); });
  }
}

// The picture and the jobs.
const picture = new Way($('way'), way, (place) => jobs.look(place.node));
const jobs = new Jobs(picture, keys);
const sanitize = picture.places.find((p) => p.name === 'sanitize')?.node;

// The thread and the composer.
const thread = new Thread((name) => show(`thread:${name}`));
const composer = new Composer((id, message) => {
  thread.mine(id);
  jobs.await(id, /[<&]/.test(message) ? sanitize : undefined);
});

// The stream.
let run;
const accounts = []; // when the last ones were true, and what was claimed by then
let subscription; // a browser opens six connections to a server at most, over all tabs: this one is for everything
const on = {
  post_save: comment,
  post_delete: comment,
  trace({ data: trace }) {
    picture.show(trace);
    jobs.take(trace);
  },
  ledger({ data: account }) {
    run ??= account.run;
    if (account.run !== run) location.reload(); // another demo, whose ids begin anew
    showPast(false);
    showLedger(account);
    showRate(account);
  },
};

// follow leaves the channel that was open and subscribes to another.
function follow(channel) {
  const before = subscription;
  const now = subscription = new Subscription([channel, 'demo:trace', 'demo:ledger'], { parse });
  before?.close();
  now.addEventListener('message', ({ detail }) => {
    if (now === subscription) on[detail.type]?.(detail);
  });
  now.addEventListener('state', ({ detail }) => {
    if (now !== subscription) return;
    showState($('state'), detail);
    if (detail.state === 'waiting') showPast(true);
  });
}

function comment(message) {
  composer.arrived(message.id);
  thread.take(message);
}

// showPast tells of the numbers that they are no news any more, or that they are.
function showPast(past) {
  if ($('past').hidden !== past) return;
  const time = new Date().toLocaleTimeString();
  document.body.classList.toggle('past', past);
  $('past').hidden = $('past-sums').hidden = !past;
  $('past').textContent = `as of ${time}`;
  $('past-sums').textContent = `These sums are of the past: the stream broke off at ${time}.`;
}

function showRate(account) {
  accounts.push({ at: Date.parse(account.at), claimed: account.ledger.feeds[0].claimed });
  if (accounts.length > 6) accounts.shift();
  const [first, last] = [accounts[0], accounts.at(-1)];
  if (last.at > first.at) {
    const rate = ((last.claimed - first.claimed) * 1000) / (last.at - first.at);
    $('rate').textContent = rate < 10 ? rate.toFixed(1) : String(Math.round(rate));
  }
  $('streams').textContent = account.streams < 0 ? '?' : String(account.streams);
}

// show subscribes to another channel.
function show(channel) {
  $('view').value = channel;
  composer.thread = channel === everything ? own : channel.slice('thread:'.length);
  thread.showPlace = channel === everything;
  thread.clear();
  follow(channel);
}

function views() {
  const groups = Map.groupBy(threads, (t) => t.forum);
  return [
    h('option', { value: everything }, 'all forums (firehose)'),
    ...[...groups].map(([forum, list]) => h('optgroup', { label: forum },
      ...list.map((t) => h('option', { value: `thread:${t.thread}` }, t.thread === own ? 'the visitors’ thread, shared by all' : `${forum} · ${t.thread}`)))),
  ];
}

$('view').append(...views());
$('view').addEventListener('change', (event) => show(event.target.value));
show(everything);
