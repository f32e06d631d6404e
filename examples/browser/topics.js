// Subscribe a page to topics, over one WebSocket that comes back by itself and resumes where it was.
//
// Nothing to build and nothing else to load: copy this file to your own pages, and change what you like.
//
//     import { Topics } from "./topics.js";
//
//     const topics = new Topics("live", { status: ({ state }) => show(state) });
//     topics.subscribe("news", {
//       publication: (data) => append(data),
//       gap: (count) => append(`${count ?? "Some"} messages are missing here`),
//     });
//
// What it says to the server, after every connect:
//
//     {"type": "subscribe", "topic": "news", "since": {"epoch": "5f3a09c1", "offset": 18}}
//     {"type": "unsubscribe", "topic": "news"}
//
// "since" is the last publication that the page has; it is not there before the first one. What it understands is the
// standard envelope, and this answer to "subscribe", which may say that not everything since then could be had:
//
//     {"topic": "news", "epoch": "5f3a09c1", "offset": 20, "recovered": true}

// How long an attempt may take, and how long a connection has to live for the waits to start small again; milliseconds.
const CONNECT_TIMEOUT = 10_000;
const STEADY = 5_000;

/**
 * Whether a close code is the server's last word. It is when the server was done (1000), when it refuses what this page
 * is or says (1002, 1003, 1007 to 1010), and when the application has said why itself (3000 to 4999): to come back
 * would be to hear the same again. All others pass: a network that broke (1006), a server that stops, restarts, fails
 * or has too much to do (1001, 1012, 1011, 1013), a client that was too slow (1013).
 *
 * A browser does not tell why a handshake was refused; that is 1006 too. So do not refuse those who should stay away:
 * accept, and close with 1008 or with a code of your own.
 */
export function isFinal(code) {
  return [1000, 1002, 1003, 1007, 1008, 1009, 1010].includes(code) || code >= 3000;
}

/** A connection, and the topics that come over it. It connects at once. */
export class Topics {
  #url;
  #options;
  #socket = null;
  #subscriptions = new Map();
  #attempt = 0; // how many have failed since all was well
  #openedAt = Infinity;
  #timer = 0;
  #status = { state: "connecting" };
  #listening = new AbortController();

  /**
   * @param url of the WebSocket, as the page would link to it: relative or not, http or ws.
   * @param options what the page wants to know and how long it waits, all optional:
   *   status(status): the connection has become `{state: "connecting"}`, `{state: "connected"}`,
   *     `{state: "waiting", code, reason, retryAt}` for the next attempt, which comes at `retryAt` on the page's clock,
   *     or `{state: "stopped", code, reason}`, because that close code was final.
   *   message(message): the server has sent something that belongs to no topic.
   *   final(code): whether a close code is final; `isFinal` unless you know better.
   *   base, cap: the longest wait before the first attempt to come back, and before any; milliseconds.
   */
  constructor(url, { status, message, final = isFinal, base = 1_000, cap = 20_000 } = {}) {
    this.#url = new URL(url, document.baseURI);
    this.#url.protocol = this.#url.protocol.replace("http", "ws");
    this.#options = { status, message, final, base, cap };

    const { signal } = this.#listening;
    // Without a network a connection may look alive for minutes. Resuming costs little, so it is given up at once.
    addEventListener("offline", () => this.#socket && this.#lose(1006, "the browser is offline"), { signal });
    addEventListener("online", () => this.#hasten(), { signal });
    // A page that nobody sees keeps its connection. If it loses it, the browser slows its timers down, which is right
    // for a page in the background, and wrong from the moment on when somebody looks.
    document.addEventListener("visibilitychange", () => document.hidden || this.#hasten(), { signal });
    addEventListener("pageshow", (event) => event.persisted && this.#hasten(), { signal });

    queueMicrotask(() => this.#socket ?? this.retry()); // so that `status` is not called before we are somebody's
  }

  /** What `status` was told last. */
  get status() {
    return this.#status;
  }

  /**
   * Get what is published to a topic, now and after every reconnect.
   *
   * @param handlers what the page wants to know, all optional:
   *   publication(data, position): somebody has published `data`; bytes are a Uint8Array.
   *   gap(count): so many publications are missing before the next one; null: nobody knows how many.
   *   presence(event, members, everybody): "here" with all who are present, or who it was that "join"ed, "update"d or
   *     "leave"s, as `[{identity, data}]`; and after that, everybody, a Map of identities to data.
   *   subscribed({recovered, again}): all that was published until now has come. After a reconnect (`again`) nothing is
   *     missing if it is `recovered`; if not, load the present state anew.
   * @returns the subscription: `position`, `members`, `unsubscribe()`.
   */
  subscribe(topic, handlers) {
    const unsubscribe = () => {
      if (this.#subscriptions.get(topic) !== subscription) return;
      this.#subscriptions.delete(topic);
      this.send({ type: "unsubscribe", topic });
    };
    const subscription = new Subscription(topic, handlers, unsubscribe);
    this.#subscriptions.set(topic, subscription);
    this.send(subscription.request());
    return subscription;
  }

  /** Send a message of the page as JSON. False: there is no connection, and it was not sent, now or later. */
  send(message) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  /** Do not wait for the next attempt; after a close code that was final, try all the same. */
  retry() {
    if (this.#socket || this.#listening.signal.aborted) return;
    clearTimeout(this.#timer);
    const socket = (this.#socket = new WebSocket(this.#url));
    this.#timer = setTimeout(() => this.#lose(1006, "the server did not answer"), CONNECT_TIMEOUT);
    socket.onopen = () => this.#open();
    socket.onmessage = (event) => this.#receive(JSON.parse(event.data));
    socket.onclose = (event) => this.#lose(event.code, event.reason);
    this.#tell({ state: "connecting" });
  }

  /** Leave for good. */
  close() {
    this.#listening.abort();
    clearTimeout(this.#timer);
    this.#letGo();
    this.#status = { state: "stopped", code: 1000, reason: "" };
  }

  #open() {
    clearTimeout(this.#timer);
    this.#openedAt = Date.now();
    for (const subscription of this.#subscriptions.values()) this.send(subscription.request());
    this.#tell({ state: "connected" });
  }

  #receive(message) {
    if (message?.topic === undefined) this.#options.message?.(message);
    else this.#subscriptions.get(message.topic)?.receive(message); // or it was ended while this was on its way
  }

  #lose(code, reason) {
    clearTimeout(this.#timer);
    if (Date.now() - this.#openedAt >= STEADY) this.#attempt = 0;
    this.#openedAt = Infinity;
    this.#letGo();
    if (this.#options.final(code)) return this.#tell({ state: "stopped", code, reason });
    // "Full jitter": any time below a limit that doubles with every attempt, so that all the pages of a server that
    // restarts come back spread out, and never in step with each other.
    const { base, cap } = this.#options;
    const wait = Math.random() * Math.min(cap, base * 2 ** this.#attempt++);
    this.#timer = setTimeout(() => this.retry(), wait);
    this.#tell({ state: "waiting", code, reason, retryAt: Date.now() + wait });
  }

  /** The wait has lost its reason. */
  #hasten() {
    if (this.#status.state === "waiting") this.retry();
  }

  /** Whatever this socket still has to say is nobody's. */
  #letGo() {
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(1000);
  }

  #tell(status) {
    this.#status = status;
    this.#options.status?.(status);
  }
}

class Subscription {
  #handlers;
  #again = false;

  /** Where the page is in the stream: the last publication that it has, or knows to be missing. */
  position = null;
  /** Who is present, as far as we know: identity to data. */
  members = new Map();

  constructor(topic, handlers, unsubscribe) {
    this.topic = topic;
    this.unsubscribe = unsubscribe;
    this.#handlers = handlers;
  }

  request() {
    const { topic, position } = this;
    return { type: "subscribe", topic, ...(position && { since: position }) };
  }

  receive(message) {
    const { publication, gap, presence, subscribed } = this.#handlers;
    const { epoch, offset } = message;
    if ("presence" in message) {
      this.#count(message);
      presence?.(message.presence, message.members, this.members);
    } else if ("gap" in message) {
      // What was told to be missing is settled, and not asked for again.
      if (message.gap !== null) this.#advance(epoch, offset + message.gap);
      gap?.(message.gap);
    } else if ("recovered" in message) {
      this.#advance(epoch, offset);
      subscribed?.({ recovered: message.recovered, again: this.#again });
      this.#again = true;
    } else {
      this.#advance(epoch, offset);
      const data = "base64" in message ? bytes(message.base64) : message.data;
      publication?.(data, { epoch, offset });
    }
  }

  #advance(epoch, offset) {
    // A new epoch is a new count. Within one it only goes up: where publications are conflated, older ones come later.
    if (this.position?.epoch !== epoch || this.position.offset < offset) this.position = { epoch, offset };
  }

  #count({ presence, members }) {
    if (presence === "here") this.members.clear();
    for (const { identity, data } of members) {
      if (presence === "leave") this.members.delete(identity);
      else this.members.set(identity, data);
    }
  }
}

function bytes(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}
