/** A message, as its pipeline made it. */
export interface Message<Data = any> {
  /** Names the change, and is the same when it comes again. */
  id: string;
  /** The event's name; "message" where it has none. */
  type: string;
  /** The object or array that the body is; the body's text if it is neither. */
  data: Data;
}

export type Transport = 'eventsource' | 'websocket' | 'poll';

export interface State {
  state: 'connecting' | 'open' | 'waiting' | 'paused' | 'closed';
  host?: string;
  transport?: Transport;
  /** HTTP's, of an answer that is no push host's: it refuses, or is a page of HTML with 200. A host of another origin hides it. */
  status?: number;
}

export interface Options {
  /** Origins of push hosts: one at random, then the next. Default, and where the list is empty: the page's own. */
  hosts?: string[];
  /** Begin with what the hosts store. Default: true. */
  history?: boolean;
  /** Returns "?expires=…&signature=…" for these channels. It is asked for each connection, so that it can sign anew. */
  sign?: (channels: string[]) => string | Promise<string>;
  /** Keys of encrypted messages, 64 hex digits each, by their ids. */
  keys?: Record<string, string>;
  /** No connection while the page is hidden. Default: false. */
  pauseHidden?: boolean;
  /** In the order in which they are tried. Default: eventsource, websocket, poll. */
  transports?: Transport[];
  /** In the place of JSON.parse, such as one that keeps long numbers. */
  parse?: (text: string) => any;
  /** What the hosts store of a channel (store.conf). Default: {messages: 20, seconds: 300}. */
  store?: { messages: number; seconds: number };
  /** Seconds over which readers that lost their host come back, doubled by each failure up to 60. Default: 5. */
  spread?: number;
  /** Seconds without a message or a ping after which a stream is dead. Default: 70. */
  silence?: number;
}

export interface SubscriptionEvents {
  /** A message: each once, those of a channel in order. */
  message: CustomEvent<Message>;
  /** Messages may be missing: fetch what the page shows. */
  gap: CustomEvent<null>;
  state: CustomEvent<State>;
}

/** Reads channels over one connection, until it is closed. */
export class Subscription extends EventTarget {
  constructor(channels: string[], options?: Options);
  /** Ends the connection. Nothing comes any more. */
  close(): void;
  addEventListener<Type extends keyof SubscriptionEvents>(type: Type, listener: (event: SubscriptionEvents[Type]) => void, options?: boolean | AddEventListenerOptions): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
}

/** The type of an event that carries several messages: its pipeline coalesces. */
export const coalesced: 'coalesced';

/** Returns the messages that an event of an EventSource of yours carries, in order: one, unless its type is "coalesced". It never throws. What it cannot read it leaves out, and tells the console. */
export function unpack(event: { type: string; data: string; lastEventId: string }, parse?: (text: string) => any): Message[];

/** Opens a message whose data are a JWE, if its key is there; else the message comes back as it is, and why it does not open is told to the console. */
export function decrypt(message: Message, keys: Record<string, string>, parse: (text: string) => any): Promise<Message>;
