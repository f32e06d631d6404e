// The chat page: joins a room over a WebSocket, shows what comes, and returns by itself when the connection is lost.
//
// What people write enters the page through textContent only, so it stays text, whatever it looks like.

// After a loss we wait a random time below a limit that doubles with every attempt ("full jitter"), so that the pages
// of a server that restarts come back spread out and not all in the same moment.
const FIRST_WAIT = 1_000;
const LONGEST_WAIT = 15_000;
const STEADY = 5_000; // a connection that lived this long starts the count again
const CONNECT_TIMEOUT = 10_000;

const TYPING_EVERY = 2_000;
const TYPING_SHOWN = 4_000;
const LOG_LENGTH = 1_000;

const NOT_CONNECTED = "Not connected. Your message stays here until you are back.";

const $ = (id) => document.getElementById(id);
const scroller = $("scroller");
const draft = $("text");
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const calendar = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

let wanted = null; // { name, room } from joining to leaving
let socket = null;
let you = ""; // the name the server gave us
let unconfirmed = []; // sent, and not yet seen to come back
let attempt = 0;
let welcomed = false;
let lostAt = 0; // 0 while all is well
let retryAt = 0;
let countdown = 0;

// Joining and leaving

// A room as it stands in an address: letters and digits of any script, and dashes for everything else.
function tidyRoom(text) {
  const dashed = text.normalize().toLowerCase().replace(/[^\p{L}\p{M}\p{N}]+/gu, "-");
  return [...dashed].slice(0, 40).join("").replace(/^-|-$/g, "");
}

function roomInAddress() {
  try {
    return tidyRoom(decodeURIComponent(location.hash.slice(1)));
  } catch {
    return ""; // not something we wrote
  }
}

function join(name, room) {
  wanted = { name, room };
  location.hash = encodeURIComponent(room);
  sessionStorage.setItem("name", name); // so that a reload stays in the room
  localStorage.setItem("name", name);
  $("join").hidden = true;
  $("chat").hidden = false;
  $("title").textContent = room;
  draft.value = sessionStorage.getItem("draft") ?? "";
  fitDraft();
  draft.focus();
  attempt = lostAt = unread = 0;
  welcomed = false;
  toBottom();
  showUnread();
  connect();
}

function leave() {
  wanted = null;
  clearInterval(countdown);
  const leaving = socket;
  socket = null; // from here on its events are nobody's
  leaving?.close(1000);
  keepUnconfirmed();
  stopTyping();
  sessionStorage.removeItem("name");
  $("log").replaceChildren();
  showPeople([]);
  showProblem("");
  showDoor();
}

function showDoor() {
  $("chat").hidden = true;
  $("join").hidden = false;
  $("name").value = localStorage.getItem("name") ?? "";
  $("room").value = roomInAddress() || "lobby";
  document.title = "Chat";
  $("name").focus();
}

// The connection

function connect() {
  clearInterval(countdown);
  showStatus("connecting", attempt === 0 && lostAt === 0 ? "Connecting" : `${trouble()}, trying again now`);

  const url = new URL(`chat/${encodeURIComponent(wanted.room)}`, document.baseURI);
  url.protocol = url.protocol.replace("http", "ws");
  url.searchParams.set("name", wanted.name);
  const ours = (socket = new WebSocket(url));
  const timeout = setTimeout(() => ours.close(), CONNECT_TIMEOUT);
  let welcomeAt = 0;

  ours.onmessage = (event) => {
    if (ours !== socket) return;
    const message = JSON.parse(event.data);
    if (message.type === "welcome") {
      clearTimeout(timeout);
      welcomeAt = Date.now();
    }
    receivers[message.type]?.(message);
  };
  ours.onclose = (event) => {
    clearTimeout(timeout);
    if (ours !== socket) return;
    if (welcomeAt && Date.now() - welcomeAt > STEADY) attempt = 0;
    lost(event.code);
  };
}

function lost(code) {
  socket = null;
  if (welcomed) lostAt ||= Date.now();
  keepUnconfirmed();
  stopTyping();
  if (code === 1009) showProblem("That message is too long for the server.");
  retryAt = Date.now() + Math.random() * Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** attempt++);
  countdown = setInterval(tick, 200);
  tick();
}

function tick() {
  const left = retryAt - Date.now();
  if (left <= 0) return connect();
  showStatus("lost", `${trouble()}, trying again in ${Math.ceil(left / 1000)} s`);
}

function trouble() {
  return welcomed ? "Connection lost" : "No connection";
}

function retryNow() {
  if (wanted && !socket) connect();
}

const receivers = {
  welcome({ you: name, people }) {
    const as = !welcomed || name !== you ? ` as ${name}` : "";
    const away = lostAt && duration(Date.now() - lostAt);
    you = name;
    welcomed = true;
    lostAt = 0;
    showStatus("connected", "Connected");
    if ($("problem").textContent === NOT_CONNECTED) showProblem("");
    showPeople(people);
    notice(away ? `You are back${as}. Messages from the ${away} you were away are not shown.` : `You joined${as}.`);
  },
  joined({ name, people }) {
    showPeople(people);
    if (name !== you) notice(`${name} joined.`);
  },
  left({ name, people }) {
    showPeople(people);
    stopTyping(name);
    notice(`${name} left.`);
  },
  message({ name, text, at }) {
    if (name === you) unconfirmed.shift();
    stopTyping(name);
    showMessage(name, text, new Date(at));
  },
  typing({ name }) {
    startTyping(name);
  },
  problem({ detail }) {
    putBack([unconfirmed.shift() ?? ""]);
    showProblem(detail);
  },
};

// Writing

function send() {
  const text = draft.value.trim();
  if (!text) return;
  if (socket?.readyState !== WebSocket.OPEN) {
    showProblem(NOT_CONNECTED);
    return;
  }
  socket.send(JSON.stringify({ type: "say", text }));
  unconfirmed.push(text);
  typingSent = 0; // whoever goes on typing after this is typing the next one
  showProblem("");
  setDraft("");
  toBottom();
}

// Whatever did not come back goes back to where it was written, in front of what was written since.
function putBack(texts) {
  setDraft([...texts, draft.value].filter(Boolean).join("\n"));
}

function keepUnconfirmed() {
  putBack(unconfirmed);
  unconfirmed = [];
}

function setDraft(text) {
  draft.value = text;
  sessionStorage.setItem("draft", text);
  fitDraft();
}

function fitDraft() {
  draft.style.height = "auto";
  draft.style.height = `${draft.scrollHeight + draft.offsetHeight - draft.clientHeight}px`;
}

let typingSent = 0;

function tellTyping() {
  if (!draft.value || Date.now() - typingSent < TYPING_EVERY || socket?.readyState !== WebSocket.OPEN) return;
  typingSent = Date.now();
  socket.send(JSON.stringify({ type: "typing" }));
}

// Showing

function element(tag, className, text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

function face(name) {
  const made = element("span", "face", [...name][0].toUpperCase());
  made.ariaHidden = "true";
  let sum = 0;
  for (const character of name) sum = (sum * 37 + character.codePointAt(0)) % 9973;
  made.style.setProperty("--hue", (sum * 137.5) % 360); // the golden angle: neighbours land far apart
  return made;
}

function showMessage(name, text, date) {
  const own = name === you;
  const minute = Math.floor(date / 60_000);
  const before = $("log").lastElementChild;
  const more = before?.dataset.name === name && before.dataset.minute === String(minute);

  const item = element("li", `message${own ? " own" : ""}${more ? " more" : ""}`);
  Object.assign(item.dataset, { name, minute });
  const by = element("p", "by");
  const time = element("time", "", clock.format(date));
  time.dateTime = date.toISOString();
  time.title = calendar.format(date);
  by.append(element("span", "name", own ? "You" : name), " ", time);
  item.append(face(name), by, element("p", "text", text));
  append(item);
  if (!own) countUnread();
}

function notice(text) {
  append(element("li", "notice", text));
}

function showPeople(people) {
  $("count").textContent = $("count-short").textContent = people.length;
  $("people-list").replaceChildren(
    ...people.map((name) => {
      const item = element("li", "");
      item.append(face(name), element("span", "name", name));
      if (name === you) item.append(element("span", "quiet", "you"));
      return item;
    }),
  );
}

function showStatus(state, text) {
  const words = text.replace(/ in \d+ s$/, "");
  if ($("announce").textContent !== words) $("announce").textContent = words;
  $("chat").dataset.state = state;
  $("status-text").textContent = text;
  $("retry").hidden = state !== "lost";
}

function showProblem(text) {
  $("problem").textContent = text;
}

function duration(ms) {
  const seconds = Math.max(1, Math.round(ms / 1000));
  return seconds < 90 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
}

const typing = new Map(); // name -> the timer that forgets it

function startTyping(name) {
  clearTimeout(typing.get(name));
  typing.set(name, setTimeout(stopTyping, TYPING_SHOWN, name));
  showTyping();
}

function stopTyping(...names) {
  for (const name of names.length ? names : [...typing.keys()]) {
    clearTimeout(typing.get(name));
    typing.delete(name);
  }
  showTyping();
}

function showTyping() {
  const names = [...typing.keys()];
  const who = names.length > 2 ? "Several people" : names.join(" and ");
  $("typing").textContent = who && `${who} ${names.length > 1 ? "are" : "is"} typing …`;
}

// Reading: new messages pull the view down only for those who were at the bottom

let atBottom = true;
let height = 0;
let unread = 0;

function append(item) {
  const log = $("log");
  log.append(item);
  if (log.children.length > LOG_LENGTH) log.firstElementChild.remove();
  if (atBottom) toBottom();
}

function toBottom() {
  atBottom = true;
  scroller.scrollTop = scroller.scrollHeight;
}

function countUnread() {
  if (!atBottom || document.hidden) unread += 1;
  showUnread();
}

function showUnread() {
  if (atBottom && !document.hidden) unread = 0;
  $("newer").hidden = unread === 0 || atBottom;
  $("newer").textContent = `${unread} new ${unread === 1 ? "message" : "messages"} ↓`;
  document.title = `${unread ? `(${unread}) ` : ""}${wanted?.room ?? ""} · Chat`;
}

scroller.addEventListener("scroll", () => {
  if (scroller.clientHeight !== height) return; // moved by a change of size, not by a person
  atBottom = scroller.scrollHeight - scroller.scrollTop - height < 40;
  showUnread();
});
new ResizeObserver(() => {
  height = scroller.clientHeight; // a phone's keyboard came, or the draft grew
  if (atBottom) toBottom();
}).observe(scroller);

// What people do

$("join-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = $("name").value.trim();
  const room = tidyRoom($("room").value);
  if (name && room) join(name, room);
});
$("say-form").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
draft.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  send();
});
draft.addEventListener("input", () => {
  setDraft(draft.value);
  showProblem("");
  tellTyping();
});
$("retry").addEventListener("click", retryNow);
$("leave").addEventListener("click", leave);
$("newer").addEventListener("click", toBottom);
$("show-people").addEventListener("click", () => {
  const shown = $("people").classList.toggle("shown");
  $("show-people").ariaExpanded = String(shown);
});
$("copy").hidden = !navigator.clipboard; // browsers offer it on https and localhost only
$("copy").addEventListener("click", async () => {
  await navigator.clipboard.writeText(location.href);
  $("copy").textContent = $("announce").textContent = "Link copied";
  setTimeout(() => ($("copy").textContent = "Copy link to this room"), 2_000);
});

addEventListener("online", retryNow);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) retryNow();
  showUnread();
});
addEventListener("hashchange", () => {
  const room = roomInAddress();
  if (!wanted) {
    $("room").value = room || "lobby";
  } else if (room !== wanted.room) {
    const { name } = wanted;
    leave();
    if (room) join(name, room);
  }
});

const name = sessionStorage.getItem("name");
if (name && roomInAddress()) join(name, roomInAddress());
else showDoor();
