// stream.js: the one EventSource of this tab.
import { parse } from './dom.js';
import { coalesced, unpack } from './pushglue.js';

// Stream subscribes to a channel and to what the demo tells of itself. A browser opens six connections
// to a server at most, over all tabs, so each tab has one stream for everything.
export class Stream {
  #source;
  #retry;

  // on has a function for each type of message; onState is told connecting, live or lost.
  constructor(on, onState) {
    this.on = on;
    this.onState = onState;
  }

  // open leaves the channel that was open and subscribes to another. The push host sends the last
  // comments of a channel again (".b20"), after a reconnect too: who reads drops what it has seen.
  open(channel) {
    clearTimeout(this.#retry);
    this.#source?.close();
    this.onState('connecting');
    const source = new EventSource(`/subscribe/${encodeURIComponent(channel)}.b20/demo:trace/demo:ledger.b1`);
    this.#source = source;
    source.onopen = () => this.onState('live');
    source.onerror = () => {
      this.onState('lost');
      // It reconnects by itself, unless the server answered with an error.
      if (source.readyState === EventSource.CLOSED) this.#retry = setTimeout(() => this.open(channel), 2000);
    };
    for (const type of [...Object.keys(this.on), coalesced]) {
      source.addEventListener(type, (event) => {
        if (source === this.#source) this.#take(unpack(event, parse));
      });
    }
  }

  #take(messages) {
    for (const message of messages) this.on[message.type]?.(message);
  }
}

// Seen remembers the last ids, so that a message that comes twice is shown once.
export class Seen {
  #ids = new Set();

  // add reports whether id is new.
  add(id) {
    if (this.#ids.has(id)) return false;
    this.#ids.add(id);
    if (this.#ids.size > 5000) this.#ids.delete(this.#ids.values().next().value);
    return true;
  }

  clear() { this.#ids.clear(); }
}
