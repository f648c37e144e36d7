// jobs.js: the last jobs, and what each stage made of one of them.
import { $, duration, h, parse } from './dom.js';
import { diff, show } from './diff.js';
import { decrypt } from './pushglue.js';

const mostJobs = 12;

const what = {
  feed: 'What the application put. Redis holds it until its outcome is known.',
  json: 'Parses the payload. Its id and event become the message’s.',
  anonymize: 'Removes what is not for everybody: e-mail, address, where a picture was taken. Makes a keyed pseudonym of the author’s id.',
  sanitize: 'Leaves the harmless markup of what users wrote, and nothing that runs.',
  route: 'Names the channels. One request will carry all of them.',
  format: 'Keeps the members that readers get.',
  encrypt: 'Makes the whole comment, e-mail and address included, a JWE: only the holders of a key can read it, such as moderators.',
  push: 'One POST to each push host: these bytes, for every channel and every reader.',
  file: 'One line in a file. It is on the disk before the job is finished.',
  finished: 'The job leaves the feed now that all publishers are done with it.',
};

export class Jobs {
  #list = $('jobs');
  #traces = [];
  #rows = new Map(); // trace -> its row
  #hovered = false;
  #focused = false; // by the keyboard: a click is no reason to hold the list for good
  #due = false;
  #node = 2; // the place of the way that is shown
  #job; // details of the job that is shown

  // keys open what the stage encrypt has closed.
  constructor(way, keys) {
    this.way = way;
    this.keys = keys;
    this.chosen = undefined; // its job id
    const on = (type, handle) => this.#list.addEventListener(type, (event) => { handle(event); this.#hold(); });
    on('pointerenter', () => { this.#hovered = true; });
    on('pointerleave', () => { this.#hovered = false; });
    on('focusin', (event) => { this.#focused = event.target.matches(':focus-visible'); });
    on('focusout', (event) => { this.#focused &&= this.#list.contains(event.relatedTarget); });
  }

  take(trace) {
    this.#traces.unshift(trace);
    this.#traces.length = Math.min(this.#traces.length, mostJobs);
    if (this.chosen === undefined || trace.message === this.awaited) {
      this.awaited = undefined;
      this.choose(trace.job);
    }
    if (this.#due || this.held) return;
    this.#due = true;
    setTimeout(() => { this.#due = false; this.#draw(); }, 100);
  }

  // await makes the job of a message the chosen one, now or as soon as it is settled.
  await(id, node) {
    if (node) this.#node = node;
    const trace = this.#traces.find((t) => t.message === id);
    if (trace) this.choose(trace.job);
    else this.awaited = id;
  }

  // #hold keeps the list still while somebody aims at it.
  #hold() {
    this.held = this.#hovered || this.#focused;
    $('held').hidden = !this.held;
    this.#draw();
  }

  // #draw leaves the rows that stay where they are: one of them may have the focus.
  #draw() {
    if (this.held) return;
    for (const [trace, row] of this.#rows) {
      if (this.#traces.includes(trace)) continue;
      row.remove();
      this.#rows.delete(trace);
    }
    for (const trace of this.#traces.toReversed()) {
      if (this.#rows.has(trace)) continue;
      const row = h('li', {}, this.#row(trace));
      this.#rows.set(trace, row);
      this.#list.prepend(row);
    }
    const most = Math.max(...this.#traces.map((t) => t.took));
    for (const [trace, row] of this.#rows) row.querySelector('.bar').style.width = `${(100 * trace.took) / most}%`;
  }

  #row(t) {
    const publishing = Math.min(...t.steps.filter((s) => this.way.place(s.node)?.kind === 'publisher').map((s) => s.at), t.settle);
    const bar = h('span', { class: 'bar', 'aria-hidden': true });
    for (const [kind, length] of [['stages', publishing], ['publish', t.settle - publishing], ['settle', t.took - t.settle]]) {
      bar.append(h('i', { class: kind }));
      bar.lastChild.style.width = `${(100 * length) / t.took}%`;
    }
    return h('button', {
      type: 'button', 'data-job': t.job, 'aria-pressed': String(t.job === this.chosen), onclick: () => this.choose(t.job),
    }, h('span', { class: 'id' }, t.message), h('span', { class: 'took' }, duration(t.took)), bar,
    t.verdict === 'finish' ? null : h('span', { class: 'wrong' }, t.verdict));
  }

  async choose(job) {
    this.chosen = job;
    for (const button of this.#list.querySelectorAll('button')) {
      button.setAttribute('aria-pressed', String(button.dataset.job === job));
    }
    const [details, why] = await ask(`/jobs/${job}`);
    if (job !== this.chosen) return;
    this.#job = details;
    if (details) this.look(this.#node);
    else $('inspector').replaceChildren(h('p', { class: 'hint' }, why));
  }

  // look shows what happened to the chosen job at a place of the way.
  async look(node) {
    this.#node = node;
    this.way.choose(node);
    const job = this.#job;
    if (!job) return;
    const place = this.way.place(node);
    const content = await this.#content(job, place);
    if (job !== this.#job || node !== this.#node) return;
    const done = job.steps.findLast((s) => s.node === node);
    const time = { feed: `waited ${duration(job.waited)}`, end: `${duration(job.took)} after the claim` }[place.kind] ?? (done && duration(done.took));
    $('inspector').replaceChildren(
      h('h3', {}, place.name, ' ', h('small', {}, [`job ${job.message}`, place.pipeline, time].filter(Boolean).join(' · '))),
      h('p', { class: 'hint' }, what[place.kind === 'feed' ? 'feed' : place.name] ?? ''),
      ...content,
    );
  }

  async #content(job, place) {
    const after = job.after.findLast((m) => m.node === place.node);
    if (place.kind === 'feed') return [show(diff(value(job.payload), value(job.payload)))];
    if (place.kind === 'end') return [this.#times(job)];
    if (!after) return [h('p', { class: 'hint' }, 'This job did not come here.')];
    const before = this.#before(job, place);
    const step = job.steps.findLast((s) => s.node === place.node);
    const error = step.error ? [h('p', { class: 'wrong' }, `${step.outcome}: ${step.error}`)] : [];
    const lines = [...head(before, after), ...body(before, after)];
    const unchanged = lines.every((l) => l.sign === ' ') && place.kind === 'stage'
      ? [h('p', { class: 'hint' }, 'Nothing had to change in this one.')] : [];
    if (!isSealed(after.body)) return [...error, ...unchanged, show(lines)];
    return [...error, await sealed(after, this.keys, this.#anonymous(job))];
  }

  // #before returns the message as it came to a place.
  #before(job, place) {
    const from = this.way.edges.find((e) => e.to === place).from;
    return job.after.findLast((m) => m.node === from.node) ?? { id: job.job, type: '', channels: null, body: job.payload };
  }

  // #anonymous returns the body that goes to everybody, if it came so far.
  #anonymous(job) {
    return job.after.findLast((m) => this.way.place(m.node).name === 'anonymize')?.body;
  }

  #times(job) {
    const rows = job.steps.map((s) => {
      const place = this.way.place(s.node);
      return h('tr', {}, h('th', { scope: 'row' }, place.name, ' ', h('small', {}, place.pipeline ?? '')),
        h('td', {}, `+${duration(s.at)}`), h('td', {}, duration(s.took)), h('td', {}, s.outcome));
    });
    rows.push(h('tr', {}, h('th', { scope: 'row' }, 'settle'), h('td', {}, `+${duration(job.settle)}`), h('td', {}, duration(job.took - job.settle)), h('td', {}, job.verdict)));
    return h('table', { class: 'times' },
      h('thead', {}, h('tr', {}, ...['', 'begins', 'takes', 'outcome'].map((t) => h('th', { scope: 'col' }, t)))), h('tbody', {}, ...rows));
  }
}

// ask returns the details of a job, or nothing and why.
async function ask(url) {
  try {
    const response = await fetch(url);
    if (response.ok) return [await response.json()];
    return [undefined, 'The demo remembers only its last jobs, and this is none of them any more.'];
  } catch {
    return [undefined, 'The demo does not answer, so this job cannot be shown.'];
  }
}

const isSealed = (text) => /^[\w-]+\.\.[\w-]+\.[\w-]+\.[\w-]+$/.test(text);

function value(text) {
  try { return parse(text); } catch { return text; }
}

// head is what a message has beside its body.
function head(before, after) {
  const fields = (m) => {
    const f = { id: m.id };
    if (m.type) f.type = m.type;
    if (m.channels) f.channels = m.channels.join('  ');
    return f;
  };
  return diff(fields(before), fields(after)).slice(1, -1).map(({ sign, text }) =>
    ({ sign, depth: 0, text: text.replace(/^"(\w+)": "?/, '$1  ').replace(/"?,?$/, '') }));
}

function body(before, after) {
  return diff(value(before.body), value(after.body));
}

// sealed shows a JWE and, beside it, what a reader with the key makes of it. What others do not get is marked.
async function sealed(message, keys, anonymous) {
  const parts = message.body.split('.').flatMap((part, i) => [i ? '.' : '', h('span', { class: `part${i}` }, part)]);
  const column = (title, ...content) => h('div', {}, h('h4', {}, title), ...content);
  const { data } = await decrypt({ data: message.body }, keys, parse);
  const opened = data === message.body
    ? [h('p', { class: 'wrong' }, 'It does not open here. A browser decrypts only on https:// and on localhost.')]
    : [show(diff(anonymous ? value(anonymous) : data, data).filter((l) => l.sign !== '-')),
      h('p', { class: 'hint' }, 'Decrypted in this page, by pushglue.js. A “+” marks what anonymize keeps from everybody else.')];
  return h('div', { class: 'sealed' }, column('On the wire', h('p', { class: 'jwe' }, ...parts)), column('With the key', ...opened));
}
