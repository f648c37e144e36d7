// main.js: puts the page together.
import { $, h } from './dom.js';
import { Composer } from './compose.js';
import { Jobs } from './jobs.js';
import { showLedger } from './ledger.js';
import { Stream } from './stream.js';
import { Thread } from './thread.js';
import { Way } from './way.js';

const everything = 'firehose';
const own = '1'; // the visitors' own thread

const [way, threads] = await Promise.all(['/demo-way', '/demo-threads'].map(async (url) => (await fetch(url)).json()));

// The picture and the jobs.
const picture = new Way($('way'), way, (place) => jobs.look(place.node));
const jobs = new Jobs(picture);
const sanitize = picture.places.find((p) => p.name === 'sanitize')?.node;

// The thread and the composer.
const thread = new Thread((name) => show(`thread:${name}`));
const composer = new Composer((id, message) => {
  thread.mine(id);
  jobs.await(id, /[<&]/.test(message) ? sanitize : undefined);
});

// The stream.
let run;
const accounts = []; // when the last ones came, and what was claimed by then
const stream = new Stream({
  post_save: comment,
  post_delete: comment,
  trace(event) {
    const trace = JSON.parse(event.data);
    picture.show(trace);
    jobs.take(trace);
  },
  ledger(event) {
    const account = JSON.parse(event.data);
    run ??= account.run;
    if (account.run !== run) location.reload(); // another demo, whose ids begin anew
    showLedger(account);
    showRate(account);
  },
}, (state) => {
  $('state').dataset.state = state;
  $('state').lastElementChild.textContent = { live: 'live', lost: 'reconnecting', connecting: 'connecting' }[state];
});

function comment(event) {
  composer.arrived(event.lastEventId);
  thread.take(event.type, event);
}

function showRate(account) {
  accounts.push({ at: performance.now(), claimed: account.ledger.feeds[0].claimed });
  if (accounts.length > 6) accounts.shift();
  // The first one is from before this page: nobody knows when it was true.
  const [first, last] = [accounts[1], accounts.at(-1)];
  if (first && last !== first) {
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
  stream.open(channel);
}

function views() {
  const groups = Map.groupBy(threads, (t) => t.forum);
  return [
    h('option', { value: everything }, 'all forums (firehose)'),
    ...[...groups].map(([forum, list]) => h('optgroup', { label: forum },
      ...list.map((t) => h('option', { value: `thread:${t.thread}` }, t.thread === own ? 'a thread of your own' : `${forum} · ${t.thread}`)))),
  ];
}

$('view').append(...views());
$('view').addEventListener('change', (event) => show(event.target.value));
show(everything);
