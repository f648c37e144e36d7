// hosts.js: the push hosts, a row each.
import { $, h, rate, write } from './dom.js';
import { count, seconds } from './rates.js';

const rows = new Map(); // by name: cells of a row

export function showHosts(hosts, rates) {
  const body = $('hosts').tBodies[0];
  const names = new Set(hosts.map((x) => x.name));
  for (const [name, row] of rows) {
    if (names.has(name)) continue;
    row.element.remove();
    rows.delete(name);
  }
  $('hosts').hidden = hosts.length === 0;
  $('no-hosts').hidden = hosts.length > 0;
  for (const host of hosts) {
    if (!rows.has(host.name)) {
      const cells = Array.from({ length: 8 }, () => h('td'));
      const element = h('tr', {}, h('th', { scope: 'row' }, host.name), ...cells);
      rows.set(host.name, { element, cells });
      body.append(element);
    }
    showHost(rows.get(host.name), host, rates);
  }
}

// isDead reports whether readers of a host get nothing.
export const isDead = (host) => host.state === 'down' && host.role !== 'out' || !host.ready;

// showHost writes what is known. A host that does not answer is dead although nothing has been sent to it yet.
function showHost({ element, cells }, host, rates) {
  const sent = rates.of((s) => s.hosts.find((x) => x.name === host.name)?.ledger.sent);
  const texts = [
    host.ready || host.state === 'down' ? host.state : 'no answer', host.role, host.ready ? count(host.readers) : '–', rate(sent), count(host.due + host.owed),
    seconds(host.lagMs / 1000), count(host.missed), host.reason ?? host.notReady ?? '',
  ];
  texts.forEach((text, i) => write(cells[i], text));
  element.classList.toggle('dead', isDead(host));
  element.dataset.state = isDead(host) ? 'dead' : host.state;
}
