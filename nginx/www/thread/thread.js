// thread.js: a thread of comments, live. The application is asked for what there is (docs/thread.md), the push hosts tell what changes.
import { $, parse, write } from '../dom.js';
import { Subscription } from '../pushglue.js';
import { showState } from '../state.js';
import { Comments } from './comments.js';
import { nameOf } from './comment.js';
import { Draft } from './draft.js';

const pace = 60; // ms between changes of the page
const patience = 10_000; // ms for an answer
const attendance = 20_000; // ms between two words that this reader is here
const whole = 100; // comments of an answer that may not be all

const name = new URLSearchParams(location.search).get('thread') ?? '1';
const api = new URL('../api/', location.href);
const thread = `threads/${encodeURIComponent(name)}`;

const comments = new Comments($('comments'), {
  edit: (post, message) => change('PATCH', `comments/${post}`, { message }),
  remove: (post) => change('DELETE', `comments/${post}`),
});

// The application.

// ask returns what the application answers, as {data}, or {why} there is no answer, and its status.
async function ask(method, path, body) {
  try {
    const response = await fetch(new URL(path, api), {
      method,
      headers: body ? { 'Content-Type': 'application/json' } : {},
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(patience),
    });
    const text = await response.text();
    if (!response.ok) return { status: response.status, why: isPlain(response) && text.trim() || 'This does not work now.' };
    return { status: response.status, data: text ? parse(text) : undefined };
  } catch {
    return { status: 0, why: 'The site does not answer. Please try again.' };
  }
}

// isPlain tells a sentence of the application from the page of a proxy before it.
const isPlain = ({ headers }) => /^text\/plain\b/.test(headers.get('Content-Type'));

// change asks for a change, and returns why it is not made, or nothing.
async function change(method, path, body) {
  const { why, data } = await ask(method, path, body);
  if (data) expect(data.id);
  return why;
}

let asked; // what there is
let again = false;

// load asks what there is until there is an answer, shows it, and returns it; or nothing, if there is no such thread. Calls meanwhile
// are one more call.
function load() {
  again = Boolean(asked);
  asked ??= (async () => {
    let data;
    do {
      again = false;
      const [snapshot, told] = [comments.snapshot(), heads];
      data = await persist();
      if (!data) break;
      flush();
      comments.load(data.comments, snapshot, data.comments.length < whole);
      if (told === heads) showReaders(data.readers);
      showCount();
    } while (again);
    asked = undefined;
    return data;
  })();
  return asked;
}

async function persist() {
  for (let pause = 1000; ; pause = Math.min(2 * pause, 30_000)) {
    const { status, why, data } = await ask('GET', thread);
    write($('hint'), data ? 'No comments yet. Write the first one.' : why);
    if (data || status === 404) return data;
    await new Promise((resolve) => { setTimeout(resolve, pause * (0.5 + Math.random())); });
  }
}

// The stream.

let state = 'connecting';
let heads = 0; // messages that said how many read
const due = []; // messages that are shown next
let timer;
const expected = new Map(); // messages of own changes that have not come: timers

// expect loads everything when the message of an own change does not come.
function expect(id) {
  if (arrived.has(id)) return;
  expected.set(id, setTimeout(() => {
    expected.delete(id);
    load();
  }, state === 'open' ? 3000 : 0));
}

const arrived = new Set(); // ids of the last messages

function take({ id, type, data }) {
  arrived.add(id);
  if (arrived.size > 200) arrived.delete(arrived.values().next().value);
  clearTimeout(expected.get(id));
  expected.delete(id);
  if (String(data?.thread ?? name) !== name) return;
  if (type === 'presence') {
    heads++;
    showReaders(data.readers);
    return;
  }
  due.push({ type, data });
  timer ??= setTimeout(flush, pace);
}

function flush() {
  clearTimeout(timer);
  timer = undefined;
  if (!due.length) return;
  comments.apply(due.splice(0));
  showCount();
}

// follow subscribes to a thread. What was said between the first answer and the subscription comes with another answer.
function follow({ channels, hosts }) {
  const subscription = new Subscription(channels, { hosts, parse });
  let opened = false;
  subscription.addEventListener('message', ({ detail }) => take(detail));
  subscription.addEventListener('gap', () => load());
  subscription.addEventListener('state', ({ detail }) => {
    showState($('state'), detail);
    stand(detail);
    if (detail.state === 'open' && !opened) {
      opened = true;
      load();
    }
  });
}

async function start() {
  const data = await load();
  if (!data) return;
  write($('place'), `${data.forum} · thread ${data.thread}`);
  const linked = document.getElementById(location.hash.slice(1));
  if (linked) linked.scrollIntoView({ block: 'center' });
  else comments.toEnd();
  follow(data);
  attend();
}

// Who is here.

const tabs = new BroadcastChannel(`pushglue ${name}`); // of this reader
tabs.onmessage = attend; // one of them has left, and the application may take it for all

let attending;

function attend() {
  clearInterval(attending);
  attending = setInterval(() => ask('POST', `${thread}/presence`, { leaving: false }), attendance);
  ask('POST', `${thread}/presence`, { leaving: false });
}

addEventListener('pagehide', () => {
  if (!attending) return;
  navigator.sendBeacon(new URL(`${thread}/presence`, api), new Blob(['{"leaving":true}'], { type: 'application/json' }));
  tabs.postMessage('left');
});
addEventListener('pageshow', ({ persisted }) => { if (persisted && attending) attend(); });

function showReaders(n) {
  $('presence').hidden = !n;
  $('presence').title = 'Who has this page open, you among them';
  write($('presence').lastElementChild, `${n} reading`);
}

// How things stand.

let lost; // runs while the stream is not open
let said = false; // that it is not

function stand({ state: now }) {
  state = now;
  if (now === 'open') {
    clearTimeout(lost);
    lost = undefined;
    if (said) tell('The comments are live again.');
    said = false;
  } else if (now !== 'paused') {
    lost ??= setTimeout(() => {
      said = true;
      tell('The connection is lost. The page tries again.');
    }, 5000);
  }
}

function showCount() {
  write($('count'), comments.size ? String(comments.size) : '');
  $('hint').hidden = comments.size > 0;
}

// tell says something to those who listen.
function tell(text) {
  $('news').textContent = text;
}

// What others write is told in one sentence every few seconds, not comment by comment.
let news = [];
comments.addEventListener('added', ({ detail }) => {
  if (!news.length) {
    setTimeout(() => {
      tell(news.length === 1 ? `New comment by ${nameOf(news[0].author)}.` : `${news.length} new comments.`);
      news = [];
    }, 2000);
  }
  news.push(...detail);
});

comments.addEventListener('fresh', ({ detail: { n, above } }) => {
  $('fresh').hidden = n === 0;
  write($('fresh'), `${n} new comment${n === 1 ? '' : 's'} ${above ? '↑' : '↓'}`);
  document.title = n ? `(${n}) Comments` : 'Comments';
});
$('fresh').addEventListener('click', () => comments.showFresh());

// The form.

const [composer, message, author] = [$('composer'), $('message'), $('author')];
const draft = new Draft();
let answering = null; // a post
let posting = false;

author.value = remembered();
author.addEventListener('change', () => remember(author.value));

comments.addEventListener('reply', ({ detail: { post, name: whom } }) => {
  answering = post;
  write($('answering').firstElementChild, `Answering ${whom}`);
  $('answering').hidden = false;
  message.focus();
});

function stopAnswering() {
  answering = null;
  $('answering').hidden = true;
}

$('no-answer').addEventListener('click', () => {
  stopAnswering();
  message.focus();
});

message.addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) composer.requestSubmit();
  if (event.key === 'Escape' && answering !== null) stopAnswering();
});

composer.addEventListener('submit', async (event) => {
  event.preventDefault();
  if (posting) return;
  posting = true;
  const text = message.value;
  const { why, data } = await ask('POST', `${thread}/comments`, draft.keyed({ author: author.value, message: text, parent: answering }));
  posting = false;
  write($('problem'), why ?? '');
  if (!data) return;
  draft.done();
  comments.mine(data.post);
  if (message.value === text) message.value = '';
  stopAnswering();
  expect(data.id);
});

// A browser may forbid a page to store anything.
function remembered() {
  try { return localStorage.getItem('author') ?? ''; } catch { return ''; }
}

function remember(text) {
  try { localStorage.setItem('author', text); } catch { /* then the next page asks again */ }
}

// The newest comment stays above the form, however high that is.
new ResizeObserver(([{ borderBoxSize: [{ blockSize }] }]) => {
  document.documentElement.style.setProperty('--dock', `${Math.ceil(blockSize)}px`);
}).observe(document.querySelector('.dock'));

start();
