// ledger.js: the sums, each as the equation that it must satisfy.
import { $, h } from './dom.js';

const words = { inFlight: 'in flight', onTheWay: 'on the way' };

// equation writes left = right + right + …, with a mark that tells whether it holds.
function equation(account, left, right, added = []) {
  const term = (name) => h('span', { class: account[name] ? 'term' : 'term zero' }, h('b', {}, String(account[name])), ` ${words[name] ?? name}`);
  const sum = (names) => names.reduce((total, name) => total + account[name], 0);
  const holds = sum([left, ...added]) === sum(right);
  const parts = [term(left)];
  for (const name of added) if (account[name]) parts.push(' + ', term(name));
  parts.push(' = ');
  right.forEach((name, i) => parts.push(i ? ' + ' : '', term(name)));
  return h('span', { class: 'equation' }, ...parts, mark(holds));
}

function mark(holds) {
  return h('span', { class: holds ? 'mark' : 'mark wrong', role: 'img', 'aria-label': holds ? 'balances' : 'does not balance' }, holds ? '✓' : '✗');
}

function row(name, ...content) {
  return h('tr', {}, h('th', { scope: 'row' }, name), ...content.map((c) => h('td', {}, c)));
}

function pipeline(p) {
  const rows = p.stages.map((s) => {
    const lost = s.dropped + s.failed;
    return row(s.name, String(s.in), '→', String(s.out), lost ? `${s.dropped} dropped, ${s.failed} failed` : '', mark(s.in + s.added === s.out + lost));
  });
  const pub = p.publish;
  const rest = pub.failed + pub.returned;
  const more = [pub.replaced ? `${pub.replaced} replaced` : '', rest ? `${rest} not` : '', pub.inFlight ? `${pub.inFlight} in flight` : ''].filter(Boolean).join(', ');
  rows.push(row('publisher', String(pub.in), '→', String(pub.published), more, mark(pub.in === pub.published + pub.replaced + rest + pub.inFlight)));
  return h('div', { class: 'account' }, h('h3', {}, p.name), h('table', {}, h('tbody', {}, ...rows)));
}

function line(kind, name, sum) {
  return h('div', { class: 'account line' }, h('h3', {}, `${kind} `, h('small', {}, name)), sum);
}

// others tells of messages that no job of this demo is waiting for.
function others({ again, foreign }) {
  const hint = (text) => h('p', { class: 'hint' }, text);
  return [
    again && hint(`${again} messages came again: a push host that does not answer in time gets them twice.`),
    foreign && hint(`${foreign} messages were put by somebody else than this demo.`),
  ].filter(Boolean);
}

export function showLedger(account) {
  const { feeds, pipelines, hosts } = account.ledger;
  $('ledger').replaceChildren(
    ...feeds.map((f) => line('Feed', f.name, equation(f, 'claimed', ['finished', 'cancelled', 'stalled', 'released', 'inFlight']))),
    h('div', { class: 'pipelines' }, ...pipelines.map(pipeline)),
    ...hosts.map((x) => line('Push host', x.name, equation(x, 'sent', ['accepted', 'rejected', 'unanswered']))),
    line('Reader', 'the demo’s own, of the firehose', equation(account.reader, 'put', ['received', 'stalled', 'onTheWay'])),
    ...others(account.reader),
    account.lost ? h('p', { class: 'hint' }, `${account.lost} jobs came too fast to be drawn. The engine did not wait for the picture.`) : '',
  );
  const badge = $('badge');
  badge.dataset.state = account.wrong ? 'wrong' : 'good';
  badge.title = account.wrong;
  const text = account.wrong ? 'the ledger does not balance' : 'the ledger balances';
  if (badge.firstElementChild.textContent !== text) badge.firstElementChild.textContent = text; // else it is read out each time
}
