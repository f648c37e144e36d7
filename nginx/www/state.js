// state.js: shows how a subscription stands.
import { write } from './dom.js';

const words = { connecting: 'connecting', open: 'live', waiting: 'reconnecting', paused: 'paused', closed: 'not live' };
const looks = { open: 'live', waiting: 'lost', closed: 'lost' };

// showState shows a state, as events of a Subscription tell it, in an element with a dot and a text.
export function showState(element, { state, transport }) {
  element.dataset.state = looks[state] ?? 'connecting';
  element.dataset.transport = transport ?? '';
  element.title = state === 'open' ? `What is new comes as it happens (${transport}).` : 'What you see may be old.';
  write(element.lastElementChild, words[state]);
}
