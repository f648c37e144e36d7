// pushglue.js: what a page needs to read the messages that pushglue publishes. It depends on nothing.
// docs/browser.md tells how and what is promised, pushglue.d.ts the types.

export const coalesced = 'coalesced';

export class Subscription extends EventTarget {
  #options;
  #list; // of channels, as it is signed
  #closed = false;
  #connection; // abort() ends it
  #failures = 0; // in a row
  #wake; // ends a sleep
  #queue = Promise.resolve(); // messages wait for those before them to be decrypted
  #seen = new Map(); // ids, and the era in which each came
  #era = 0; // ends when what is stored has been read again
  #replay; // what has come of that
  #latest; // message that was no replay
  #contact = Date.now(); // nothing is missing up to here

  constructor(channels, options) {
    super();
    this.#list = channels.map((name) => name.replace(/[^\w.~:,@!$-]/gu, encodeURIComponent)).join('/');
    this.#options = {
      history: true, sign: () => '', keys: {}, pauseHidden: false, transports: Object.keys(read), parse: JSON.parse,
      store: { messages: 20, seconds: 300 }, spread: 5, silence: 70, ...options,
      channels, hosts: options?.hosts?.length ? options.hosts : [location.origin],
    };
    document.addEventListener('visibilitychange', this);
    addEventListener('online', this);
    queueMicrotask(() => this.#run()); // when the page has added its listeners
  }

  handleEvent() {
    if (this.#hidden()) this.#connection?.abort();
    else this.#wake?.();
  }

  close() {
    this.#closed = true;
    document.removeEventListener('visibilitychange', this);
    removeEventListener('online', this);
    this.#connection?.abort();
    this.#wake?.();
    this.#tell('state', { state: 'closed' });
  }

  async #run() {
    const { hosts, transports, spread } = this.#options;
    const few = Math.min(hosts.length, 2); // without an answer: it may be the transport that the network does not let through
    let transport = 0;
    let best; // transport that has worked
    for (let host = Math.floor(Math.random() * hosts.length); ; host++) {
      while (this.#hidden()) {
        this.#tell('state', { state: 'paused' });
        await this.#sleep(1e6);
      }
      if (this.#closed) return;
      const place = { host: hosts[host % hosts.length], transport: transports[transport] };
      const { opened, status } = await this.#connect(place, best !== undefined);
      const failures = this.#failures;
      if (opened) transport = best = Math.min(best ?? transport, transport);
      else if (failures % (best === undefined ? few : 6) === 0) transport = (transport + 1) % transports.length;
      if (this.#closed || this.#hidden()) continue;
      // A new page looks for a way through at once: it belongs to no herd.
      if (best === undefined && !status && failures < few * transports.length) continue;
      this.#tell('state', { state: 'waiting', ...place, status });
      await this.#sleep(Math.random() * Math.min(60, spread * 2 ** failures));
    }
  }

  // connect returns when the connection has ended.
  async #connect(place, again) {
    const { channels, history, sign, silence, spread } = this.#options;
    const connection = this.#connection = new AbortController();
    const result = { opened: false };
    const stored = history || again;
    let watch;
    const limit = (seconds) => {
      clearTimeout(watch);
      watch = setTimeout(() => connection.abort(), seconds * 1000);
    };
    this.#failures++;
    if (stored) this.#replay ??= { again, events: 0 };
    this.#tell('state', { state: 'connecting', ...place });
    limit(place.transport === 'poll' ? silence : 10);
    try {
      const query = await sign(channels) || '?';
      await read[place.transport]({
        url: (endpoint, all = stored) => `${place.host}/${endpoint}/${this.#list}${query}${all ? '&last_event_id=1' : ''}`,
        signal: connection.signal,
        silence,
        // alive says that something has come, and how long it may be until something else does.
        alive: (seconds) => {
          limit(seconds);
          if (this.#replay) this.#replay.opened ??= Date.now();
          else this.#contact = Date.now();
          if (result.opened) return;
          result.opened = true;
          this.#tell('state', { state: 'open', ...place });
          setTimeout(() => {
            if (connection.signal.aborted) return;
            this.#failures = 0;
            this.#enqueue(() => this.#judge());
          }, 1000);
        },
        take: (event) => this.#enqueue(() => this.#take(event)),
        // answer takes all events that are stored, or all behind a position, and says whether any is new.
        answer: (events, position) => this.#enqueue(async () => {
          const replay = this.#replay ??= { again: true, events: 0, opened: Date.now(), latest: position };
          for (const event of events) await this.#take(event);
          this.#judge();
          return replay.events > 0;
        }),
        rest: () => this.#sleep((1 + Math.random()) * spread / 2),
      });
    } catch (error) {
      result.status = error?.status;
    }
    clearTimeout(watch);
    connection.abort();
    return result;
  }

  // take tells the page of those messages of an event that are new.
  async #take(event) {
    const { parse, keys } = this.#options;
    const before = this.#replay?.events;
    for (const sealed of unpack(event, parse)) {
      const { id, type, data } = await decrypt(sealed, keys, parse);
      if (this.#closed) return;
      const replay = this.#replay;
      const era = this.#seen.get(id);
      if (era === undefined) {
        if (id) this.#seen.set(id, this.#era);
        if (this.#seen.size > 1e4) this.#seen.delete(this.#seen.keys().next().value);
        if (replay) replay.events = before + 1;
        else this.#latest = { id, time: Date.now() };
        this.#tell('message', { id, type: type === 'message' && typeof data?.event === 'string' ? data.event : type, data });
      } else if (replay) {
        replay.known ||= era < this.#era;
        replay.latest ||= id === this.#latest?.id;
      }
    }
  }

  // judge tells of a gap when what is stored has been read again. Hosts store the last messages of each channel: nothing
  // is missing of one where any is known, nor of several where the latest is known and few are new.
  #judge() {
    const replay = this.#replay;
    if (!replay) return;
    const { channels, store } = this.#options;
    const since = (time) => (replay.opened - time) / 1000;
    const forgotten = this.#latest && !replay.latest && since(this.#latest.time) < 0.9 * store.seconds;
    const gap = since(this.#contact) > store.seconds || replay.again && (forgotten || replay.events >= store.messages);
    if (gap && !(replay.known && channels.length === 1)) this.#tell('gap');
    this.#replay = undefined;
    this.#era++;
    this.#contact = Date.now();
  }

  #enqueue(work) {
    const done = this.#queue.then(work);
    this.#queue = done.catch(console.error);
    return done;
  }

  #hidden() {
    return this.#options.pauseHidden && document.hidden && !this.#closed;
  }

  #sleep(seconds) {
    return new Promise((wake) => {
      this.#wake = wake;
      setTimeout(wake, seconds * 1000);
    });
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

// The transports, in the order in which they are tried. Each returns or throws when the connection has ended.
const read = {
  // The browser's EventSource hides pings, statuses, and types that it is not told beforehand.
  async eventsource({ url, signal, silence, alive, take }) {
    const response = await get(url('subscribe'), { signal, headers: { Accept: 'text/event-stream' } });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    let event = {};
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      alive(silence);
      const lines = (rest + value).split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop();
      for (const line of lines) {
        const [, field, text = ''] = /^(.*?)(?:: ?(.*))?$/s.exec(line);
        if (line) event[field] = field === 'data' && 'data' in event ? `${event.data}\n${text}` : text;
        else {
          if ('data' in event) take({ type: event.event || 'message', lastEventId: event.id ?? '', data: event.data });
          event = {};
        }
      }
    }
  },

  websocket: ({ url, signal, alive, take }) => new Promise((resolve) => {
    const socket = new WebSocket(url('ws').replace('http', 'ws'));
    signal.onabort = () => resolve(socket.close());
    socket.onclose = resolve;
    socket.onopen = () => alive(1e6);
    socket.onmessage = ({ data }) => {
      alive(1e6);
      take(bare(data));
    };
  }),

  // push-stream says where the next poll goes on, Nchan sends all that it stores each time. After many polls the other
  // transports have another chance.
  async poll({ url, signal, silence, alive, answer, rest }) {
    let position;
    let all;
    for (let left = 100; left > 0; left--) {
      const response = await get(url('poll', all), { signal, headers: position }, 304, 408);
      const lines = response.ok ? (await response.text()).split('\n').filter(Boolean) : [];
      alive(silence);
      const fresh = await answer(lines.map(bare), Boolean(position));
      const time = response.headers.get('Last-Modified');
      if (time) position = { 'If-Modified-Since': time, 'If-None-Match': response.headers.get('Etag') };
      all = !position;
      if (all && lines.length && !fresh) await rest();
    }
  },
};

async function get(url, options, ...statuses) {
  const response = await fetch(url, { cache: 'no-store', ...options });
  if (response.ok || statuses.includes(response.status)) return response;
  throw response;
}

// bare makes an event of a body that came without id and type.
function bare(data) {
  return { type: /^\[\{"id":".*"data":/s.test(data) ? coalesced : 'message', lastEventId: '', data };
}

// decrypt opens a message that is a JWE (alg dir, enc A256GCM), if its key is there.
async function decrypt(sealed, keys, parse) {
  const [, header, iv, text, tag] = /^([\w-]+)\.\.([\w-]+)\.([\w-]*)\.([\w-]+)$/.exec(sealed.data) ?? [];
  try {
    const { kid } = header ? JSON.parse(new TextDecoder().decode(bytes(header))) : {};
    if (!Object.hasOwn(keys, kid)) return sealed;
    const raw = Uint8Array.from(keys[kid].match(/../g), (digits) => parseInt(digits, 16));
    const key = await crypto.subtle.importKey('raw', raw, 'AES-GCM', false, ['decrypt']);
    const how = { name: 'AES-GCM', iv: bytes(iv), additionalData: new TextEncoder().encode(header) };
    const plain = await crypto.subtle.decrypt(how, key, new Uint8Array([...bytes(text), ...bytes(tag)]));
    return message(sealed.id, sealed.type, new TextDecoder().decode(plain), parse);
  } catch (error) {
    console.error('pushglue: a message cannot be decrypted:', error);
    return sealed;
  }
}

function bytes(base64url) {
  return Uint8Array.from(atob(base64url.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));
}

// unpack returns the messages that an event carries, in order: one, unless its type is "coalesced". It never throws. What it
// cannot read it leaves out, and tells the console.
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

// message takes the id in the body before the event's, which is Nchan's own, unless JavaScript cannot keep such a number.
function message(id, type, body, parse) {
  let data = body;
  try {
    if (typeof body === 'string' && /^[[{]/.test(body)) data = parse(body);
  } catch {
    // a text that only begins like JSON
  }
  const own = data?.id;
  return { id: typeof own === 'string' || Number.isSafeInteger(own) ? String(own) : id, type, data };
}
