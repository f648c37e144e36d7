// Reads what pushglue publishes: docs/browser.md, pushglue.d.ts.

export const coalesced = 'coalesced';

export class Subscription extends EventTarget {
  #options;
  #list;
  #closed;
  #connection;
  #failures = 0;
  #wake;
  #queue = Promise.resolve(); // keeps the order
  #seen = new Map(); // ids, and the era of each
  #era = 0; // ends with each replay of what is stored
  #replay;
  #latest; // message, replays aside
  #contact = Date.now(); // nothing is missing up to here

  constructor(channels, options) {
    super();
    this.#list = channels.map((name) => name.replace(/[^\w.~:,@!$-]/gu, encodeURIComponent)).join('/');
    this.#options = {
      history: true, sign: () => '', keys: {}, transports: Object.keys(read), parse: JSON.parse,
      store: { messages: 20, seconds: 300 }, spread: 5, silence: 70, ...options,
      channels, hosts: options?.hosts?.length ? options.hosts : [location.origin],
    };
    document.addEventListener('visibilitychange', this);
    queueMicrotask(() => this.#run());
  }

  handleEvent() {
    if (this.#hidden()) this.#connection?.abort();
    else this.#wake?.();
  }

  close() {
    this.#closed = true;
    document.removeEventListener('visibilitychange', this);
    this.#connection?.abort();
    this.#wake?.();
    this.#tell('state', { state: 'closed' });
  }

  async #run() {
    const { hosts, transports, spread } = this.#options;
    let few = Math.min(hosts.length, 2); // failures: then it is the transport
    let [transport, best] = [0]; // best that has worked
    for (let host = Math.floor(Math.random() * hosts.length); ; host++) {
      while (this.#hidden()) {
        this.#tell('state', { state: 'paused' });
        await this.#sleep(1e6);
      }
      if (this.#closed) return;
      const place = { host: hosts[host % hosts.length], transport: transports[transport] };
      const { opened, status } = await this.#connect(place, best !== undefined);
      const failures = this.#failures;
      if (opened) [transport, few] = [best = Math.min(best ?? transport, transport), 6];
      else if (failures % few === 0) transport = (transport + 1) % transports.length;
      // A new page looks for a way at once: it is no herd.
      if (this.#closed || this.#hidden() || best === undefined && !status && failures % (few * transports.length)) continue;
      this.#tell('state', { state: 'waiting', ...place, status });
      await this.#sleep(Math.random() * Math.min(60, spread * 2 ** failures));
    }
  }

  async #connect(place, again) {
    const { channels, history, sign, silence, spread } = this.#options;
    const connection = this.#connection = new AbortController();
    const stored = history || again;
    let watch;
    const limit = (seconds) => {
      clearTimeout(watch);
      watch = setTimeout(() => connection.abort(), seconds * 1000);
    };
    this.#failures++;
    if (stored) this.#replay ??= { again, events: 0, missing: this.#latest };
    this.#tell('state', { state: 'connecting', ...place });
    limit(place.transport === 'poll' ? silence : 10);
    try {
      const query = await sign(channels) || '?';
      connection.signal.throwIfAborted();
      await read[place.transport]({
        url: (endpoint, all = stored) => `${place.host}/${endpoint}/${this.#list}${query}${all ? '&last_event_id=1' : ''}`,
        signal: connection.signal,
        alive: (seconds = silence) => {
          limit(seconds);
          if (this.#replay) this.#replay.opened ??= Date.now();
          else this.#contact = Date.now();
          if (connection.opened) return;
          connection.opened = true;
          this.#tell('state', { state: 'open', ...place });
          setTimeout(() => {
            if (connection.signal.aborted) return;
            this.#failures = 0;
            this.#enqueue(() => this.#judge());
          }, 1000);
        },
        take: (event) => this.#enqueue(() => this.#take(event)),
        // All that is stored, or that comes behind a position.
        answer: (events, position) => this.#enqueue(async () => {
          const replay = this.#replay ??= { again: true, events: 0, missing: !position && this.#latest, live: true, opened: Date.now() };
          for (const event of events) await this.#take(event);
          this.#judge();
          if (events.length && !replay.events) await this.#sleep((1 + Math.random()) * spread / 2);
        }),
      });
    } catch (error) {
      connection.status = error?.status;
    }
    clearTimeout(watch);
    connection.abort();
    return connection;
  }

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
        if (!replay || replay.live) this.#latest = { id, time: Date.now() };
        this.#tell('message', { id, type: type === 'message' && data?.event || type, data });
      } else if (replay) {
        replay.known ||= era < this.#era;
        if (id === replay.missing?.id) replay.missing = undefined;
      }
    }
  }

  // Hosts store a channel's last messages: of one nothing is missing if any is known, of several if the latest is and few are new.
  #judge() {
    const replay = this.#replay;
    if (!replay) return;
    const { channels, store } = this.#options;
    const age = (time) => (replay.opened - time) / store.seconds / 1000;
    const forgotten = age(replay.missing?.time) < 0.9;
    const gap = age(this.#contact) > 1 || replay.again && (forgotten || replay.events >= store.messages);
    if (gap && !(replay.known && channels.length === 1)) this.#tell('gap');
    this.#replay = undefined;
    this.#era++;
    this.#contact = Date.now();
  }

  #enqueue(work) {
    return this.#queue = this.#queue.then(work).catch(console.error);
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

// Each returns or throws when the connection has ended.
const read = {
  // Not EventSource: docs/browser.md.
  async eventsource({ url, signal, alive, take }) {
    const response = await fetch(url('subscribe'), { signal, cache: 'no-store', headers: { Accept: 'text/event-stream' } });
    if (!/event-stream/.test(response.headers.get('Content-Type'))) throw response;
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let [rest, event] = ['', {}];
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      alive();
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
    socket.onclose = socket.onerror = resolve;
    socket.onopen = () => alive(1200);
    socket.onmessage = ({ data }) => {
      alive(1200);
      take(bare(data));
    };
  }),

  // push-stream says where the next poll goes on, Nchan sends all that it stores.
  async poll({ url, signal, alive, answer }) {
    let [headers, all] = [];
    for (let i = 0; i < 100; i++) { // then better transports have a chance
      const response = await fetch(url('poll', all), { signal, cache: 'no-store', headers });
      if (response.ok ? /html/.test(response.headers.get('Content-Type')) : ![304, 408].includes(response.status)) throw response;
      const lines = response.ok ? (await response.text()).split('\n').filter(Boolean) : [];
      alive();
      await answer(lines.map(bare), headers);
      const time = response.headers.get('Last-Modified');
      if (time) headers = { 'If-Modified-Since': time, 'If-None-Match': response.headers.get('Etag') };
      all = !headers;
    }
  },
};

function bare(data) {
  return { type: /^\[\{"id":".*"data":/s.test(data) ? coalesced : 'message', lastEventId: '', data };
}

// decrypt opens a JWE (dir, A256GCM), if its key is there: pushglue.d.ts.
export async function decrypt(sealed, keys, parse) {
  if (!/^eyJ[\w-]*\.\./.test(sealed.data)) return sealed;
  try {
    const [header, , iv, text, tag] = sealed.data.split('.');
    const { kid } = JSON.parse(utf8(bytes(header)));
    if (!Object.hasOwn(keys, kid)) return sealed;
    const raw = Uint8Array.from(keys[kid].match(/../g), (digits) => `0x${digits}`);
    const key = await crypto.subtle.importKey('raw', raw, 'AES-GCM', false, ['decrypt']);
    const how = { name: 'AES-GCM', iv: bytes(iv), additionalData: new TextEncoder().encode(header) };
    const plain = await crypto.subtle.decrypt(how, key, new Uint8Array([...bytes(text), ...bytes(tag)]));
    return message(sealed.id, sealed.type, utf8(plain), parse);
  } catch (error) {
    console.error('pushglue: decrypt:', error);
    return sealed;
  }
}

const utf8 = (octets) => new TextDecoder().decode(octets);
const bytes = (base64url) => Uint8Array.from(atob(base64url.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0));

// unpack returns the messages of an event, and never throws: pushglue.d.ts.
export function unpack(event, parse = JSON.parse) {
  if (event.type !== coalesced || !event.data.startsWith('[')) {
    return [message(event.lastEventId, event.type, event.data, parse)];
  }
  let entries;
  try {
    entries = parse(event.data);
  } catch (error) {
    console.error('pushglue: several messages are no JSON:', error);
    return [];
  }
  const whole = entries.filter((entry) => typeof entry?.id === 'string' && entry.data !== undefined);
  if (whole.length < entries.length) {
    console.error(`pushglue: ${entries.length - whole.length} of ${entries.length} messages have no id or no data`);
  }
  return whole.map(({ id, type = 'message', data }) => message(id, type, data, parse));
}

// The event's id is Nchan's own, so the body's goes first, unless JavaScript cannot keep it.
function message(id, type, body, parse) {
  let data = body;
  try {
    if (typeof body === 'string' && /^[[{]/.test(body)) data = parse(body);
  } catch { /* text */ }
  const own = data?.id;
  return { id: typeof own === 'string' || Number.isSafeInteger(own) ? `${own}` : id, type, data };
}
