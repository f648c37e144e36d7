// pushglue.js: what a page needs to read the messages that pushglue publishes. It depends on nothing.
//
//   import { coalesced, unpack } from './pushglue.js';
//
//   const source = new EventSource('/subscribe/thread:17');
//   const on = { post_save(data) { … }, post_delete(data) { … } };
//   for (const type of [...Object.keys(on), coalesced]) {
//     source.addEventListener(type, (event) => {
//       for (const { type, data } of unpack(event)) on[type]?.(data);
//     });
//   }

/**
 * A message, as its pipeline made it.
 *
 * @typedef {object} Message
 * @property {string} id    names the change, and is the same when it comes again: drop what you have seen
 * @property {string} type  the event's name; "message" where it has none
 * @property {any} data     the object or array that the body is; the body's text if it is neither
 */

/** The type of an event that carries several messages: its pipeline coalesces. */
export const coalesced = 'coalesced';

/**
 * unpack returns the messages that an event carries, in order: one, unless its type is "coalesced".
 * It never throws. What it cannot read it leaves out, and tells the console.
 *
 * @param {MessageEvent<string>} event  of an EventSource
 * @param {(text: string) => any} [parse]  in the place of JSON.parse, such as one that keeps long numbers
 * @returns {Message[]}
 */
export function unpack(event, parse = JSON.parse) {
  if (event.type !== coalesced || !event.data.startsWith('[')) {
    return [message(event.lastEventId, event.type, event.data, parse)];
  }
  let entries;
  try {
    entries = parse(event.data);
  } catch (error) {
    console.error('pushglue: an event of several messages is no JSON:', error);
    return [];
  }
  const whole = entries.filter((entry) => typeof entry?.id === 'string' && entry.data !== undefined);
  if (whole.length < entries.length) {
    console.error(`pushglue: ${entries.length - whole.length} of ${entries.length} messages of an event have no id or no data`);
  }
  return whole.map(({ id, type = 'message', data }) => message(id, type, data, parse));
}

// message makes the same of a message that came alone and of one that came with others. Nchan gives events ids of
// its own, so the id in the body goes first, unless it is a number that JavaScript cannot keep.
function message(id, type, body, parse) {
  const data = read(body, parse);
  const own = data?.id;
  return { id: typeof own === 'string' || Number.isSafeInteger(own) ? String(own) : id, type, data };
}

// read returns the object or array that a body is, else the body.
function read(body, parse) {
  if (typeof body !== 'string' || !/^[[{]/.test(body)) return body;
  try {
    return parse(body);
  } catch {
    return body; // a text that only begins like one
  }
}
