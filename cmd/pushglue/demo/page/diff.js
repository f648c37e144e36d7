// diff.js: what a stage changed in a JSON value, line by line.
import { h, isObject } from './dom.js';

// diff returns lines {sign, depth, text}: sign is "+" for what is only in after, "-" for what is only in before.
export function diff(before, after) {
  const lines = [];
  compare(lines, 0, '', before, after, '');
  return lines;
}

function compare(lines, depth, label, before, after, comma) {
  if (isObject(before) && isObject(after) && Array.isArray(before) === Array.isArray(after)) {
    const [open, close] = Array.isArray(after) ? '[]' : '{}';
    lines.push({ sign: ' ', depth, text: label + open });
    const keys = merged(Object.keys(before), Object.keys(after));
    keys.forEach((key, i) => {
      const name = Array.isArray(after) ? '' : `${JSON.stringify(key)}: `;
      const end = i < keys.length - 1 ? ',' : '';
      if (!(key in after)) write(lines, '-', depth + 1, name, before[key], end);
      else if (!(key in before)) write(lines, '+', depth + 1, name, after[key], end);
      else compare(lines, depth + 1, name, before[key], after[key], end);
    });
    lines.push({ sign: ' ', depth, text: close + comma });
    return;
  }
  if (JSON.stringify(before) === JSON.stringify(after)) {
    write(lines, ' ', depth, label, after, comma);
    return;
  }
  write(lines, '-', depth, label, before, comma);
  write(lines, '+', depth, label, after, comma);
}

// merged returns the keys of both, each new one behind the one that it follows.
function merged(before, after) {
  const keys = [...before];
  after.forEach((key, i) => {
    if (!before.includes(key)) keys.splice(i === 0 ? 0 : keys.indexOf(after[i - 1]) + 1, 0, key);
  });
  return keys;
}

function write(lines, sign, depth, label, value, comma) {
  if (!isObject(value)) {
    lines.push({ sign, depth, text: label + (typeof value === 'string' ? JSON.stringify(value) : String(value)) + comma });
    return;
  }
  const [open, close] = Array.isArray(value) ? '[]' : '{}';
  const entries = Object.entries(value);
  if (entries.length === 0) {
    lines.push({ sign, depth, text: label + open + close + comma });
    return;
  }
  lines.push({ sign, depth, text: label + open });
  entries.forEach(([key, member], i) => {
    const name = Array.isArray(value) ? '' : `${JSON.stringify(key)}: `;
    write(lines, sign, depth + 1, name, member, i < entries.length - 1 ? ',' : '');
  });
  lines.push({ sign, depth, text: close + comma });
}

const spoken = { '-': 'removed: ', '+': 'added: ' };

// show makes elements of lines. Where a line takes the place of another, what differs is marked.
export function show(lines) {
  const list = h('ol', { class: 'diff' });
  lines.forEach((line, i) => {
    const partner = line.sign === '-' ? lines[i + 1] : lines[i - 1];
    const changed = line.sign !== ' ' && partner && partner.sign !== ' ' && partner.sign !== line.sign && partner.depth === line.depth;
    const item = h('li', { class: { '-': 'removed', '+': 'added', ' ': '' }[line.sign] },
      h('span', { class: 'sign', 'aria-hidden': true }, line.sign),
      h('code', {}, spoken[line.sign] ? h('span', { class: 'unseen' }, spoken[line.sign]) : null,
        ...(changed ? mark(line.text, partner.text) : [line.text])));
    item.style.setProperty('--depth', line.depth);
    list.append(item);
  });
  // Once it is laid out: what changed comes into sight.
  requestAnimationFrame(() => {
    const change = list.querySelector('.removed, .added');
    if (change) list.scrollTop = change.offsetTop - list.offsetTop - list.clientHeight / 3;
  });
  return list;
}

// mark splits text into what it has in common with other at both ends, and what it has not.
function mark(text, other) {
  const [a, b] = [[...text], [...other]];
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a.at(-1 - end) === b.at(-1 - end)) end++;
  const middle = a.slice(start, a.length - end).join('');
  return [a.slice(0, start).join(''), middle && h('mark', {}, middle), a.slice(a.length - end).join('')];
}
