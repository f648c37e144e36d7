// stalled.js: stalled jobs, which can be retried and retracted by whoever has the token.
import { $, h, write } from './dom.js';

const key = 'pushglue-token';
const rows = new Map(); // by feed and id

$('ask-no').addEventListener('click', () => $('ask').close('no'));

export function showStalled(status) {
  const total = status.feeds.reduce((n, f) => n + f.stalled, 0);
  const jobs = status.feeds.flatMap((f) => f.stalledJobs.map((job) => ({ feed: f.name, ...job })));
  const more = total > jobs.length ? `${jobs.length} of ${total}. ` : '';
  write($('stalled-hint'), total === 0 ? 'None.' : more + (status.changes ? '' : 'Set PUSHGLUE_HTTP_TOKEN for buttons here, or use: pushglue jobs FEED retry ID'));
  const name = (job) => JSON.stringify([job.feed, job.id]);
  const present = new Set(jobs.map(name));
  for (const [known, row] of rows) {
    if (present.has(known)) continue;
    if (row.element.contains(document.activeElement)) $('stalled').closest('section').querySelector('h2').focus();
    row.element.remove();
    rows.delete(known);
  }
  for (const job of jobs) {
    if (!rows.has(name(job))) rows.set(name(job), newRow(job, status.changes));
    const row = rows.get(name(job));
    write(row.when, job.at ? `stalled ${new Date(job.at).toLocaleString()}` : '');
  }
  const order = jobs.map((job) => rows.get(name(job)).element);
  if (order.some((element, i) => $('stalled').children[i] !== element)) $('stalled').replaceChildren(...order);
}

function newRow(job, changes) {
  const when = h('small');
  const where = [`feed ${job.feed}`, job.pipeline && `pipeline ${job.pipeline}`, job.host && `push host ${job.host}`, job.attempts && `${job.attempts} ${job.attempts === 1 ? 'attempt' : 'attempts'}`].filter(Boolean).join(' · ');
  const button = (action, label, quiet) => h('button', { type: 'button', class: quiet ? 'quiet' : undefined, 'aria-label': `${label} job ${job.id}`, onclick: () => change(action, job) }, label);
  const element = h('li', {},
    h('p', {}, h('span', { class: 'id' }, job.id), ' ', when),
    changes ? h('div', { class: 'buttons' }, button('retry', 'Retry'), button('retract', 'Retract', true)) : null,
    h('p', { class: 'bad' }, job.reason ?? 'no reason is known'), h('p', { class: 'fields' }, where));
  return { element, when };
}

// change has the daemon change a job. What cannot be undone is asked for, and so is the token.
async function change(action, job) {
  const told = sessionStorage.getItem(key);
  if ((!told || action === 'retract') && !await ask(action, job, !told)) return;
  say('…');
  let answer;
  try {
    const response = await fetch('jobs', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${sessionStorage.getItem(key)}` },
      body: JSON.stringify({ feed: job.feed, action, ids: [job.id] }),
    });
    if (response.status === 401) sessionStorage.removeItem(key);
    answer = await response.json();
    if (!response.ok) throw new Error(answer.error);
  } catch (error) {
    return say(`Job ${job.id} is as it was: ${error.message}`, true);
  }
  if (answer.changed) return say(`Job ${job.id} is ${action === 'retry' ? 'back on its feed' : 'deleted'}.`);
  return say(`Job ${job.id} is ${answer.refused[0]?.state ?? 'gone'}: somebody else was faster.`, true);
}

function say(text, bad = false) {
  $('changed').classList.toggle('bad', bad);
  write($('changed'), text);
}

// ask resolves to whether the person wants it, and keeps the token.
function ask(action, job, needsToken) {
  const retract = action === 'retract';
  write($('ask-title'), retract ? 'Delete this job?' : 'Retry this job?');
  write($('ask-text'), `${job.id} of feed ${job.feed}${retract ? ': its payload goes too, and nobody gets it back.' : ' goes back to the end of its feed.'}`);
  write($('ask-yes'), retract ? 'Delete' : 'Retry');
  $('ask-token').hidden = !needsToken;
  $('token').required = needsToken;
  $('token').value = '';
  const dialog = $('ask');
  dialog.returnValue = 'no';
  dialog.showModal();
  if (needsToken) $('token').focus();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => {
      const yes = dialog.returnValue === 'yes';
      if (yes && needsToken) sessionStorage.setItem(key, $('token').value.trim());
      $('token').value = '';
      resolve(yes);
    }, { once: true });
  });
}
