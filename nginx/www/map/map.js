// map.js: which forums and threads are hot, as the daemons tell through the push hosts (docs/page.md).
import { $, rate, write } from '../dom.js';
import { Subscription } from '../pushglue.js';
import { showState } from '../state.js';
import { TrafficMap } from '../trafficmap.js';

const { channel, hosts } = document.body.dataset;

// A thread's row leads to its page.
const map = new TrafficMap($('traffic'), (name) => {
  const [, thread] = /^thread:(.+)$/.exec(name) ?? [];
  return thread && `../thread/?thread=${encodeURIComponent(thread)}`;
});

const subscription = new Subscription([channel], { hosts: hosts.split(' ').filter(Boolean) });
subscription.addEventListener('state', ({ detail }) => showState($('state'), detail));
subscription.addEventListener('message', ({ detail: { type, data } }) => {
  if (type !== 'traffic' || !Array.isArray(data?.hot)) return; // somebody else's
  map.take(data);
});

// A message is published to a forum and to a thread; one of the kinds tells of all.
setInterval(() => write($('rate'), rate(Math.max(0, ...map.draw().values()))), 1000);
