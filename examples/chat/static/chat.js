// The chat page: joins a room, and shows what comes. Coming back after a loss is the work of topics.js.
//
// What people write enters the page through textContent only, so it stays text, whatever it looks like.

import { showStatus } from "../browser/status.js";
import { Topics } from "../browser/topics.js";

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
let topics = null; // the connection, as long
let talk = null; // what is said in the room
let people = null; // who is in it
let you = { name: "", identity: "" }; // as the server knows us
let live = false; // what comes is said now, and is not what was said before we came
let lostAt = 0; // 0 while all is well
const unconfirmed = new Map(); // what we have said, by its id, until it comes back

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
  lostAt = unread = 0;
  live = false;
  toBottom();
  showUnread();
  connect();
}

function leave() {
  talk.unsubscribe();
  people.unsubscribe(); // at once, and not after the time that somebody who is lost has to come back
  topics.close();
  wanted = topics = null;
  putBackUnconfirmed();
  stopTyping();
  sessionStorage.removeItem("name");
  $("log").replaceChildren();
  showPeople(new Map());
  showProblem("");
  showDoor();
}

// Who has the same key is the same person, also after a reload.
function key() {
  const random = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16)).join("");
  const found = sessionStorage.getItem("key") ?? random();
  sessionStorage.setItem("key", found);
  return found;
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
  const { name, room } = wanted;
  const query = new URLSearchParams({ name, key: key() });
  topics = new Topics(`chat/${encodeURIComponent(room)}?${query}`, { status, message });
  people = topics.subscribe(`people:${room}`, {
    presence(event, [person], everybody) {
      showPeople(everybody);
      if (!you.identity || person?.identity === you.identity) return;
      if (event === "join") notice(`${person.data.name} joined.`);
      if (event === "leave") {
        stopTyping(person.data.name);
        notice(`${person.data.name} left.`);
      }
    },
    publication: ({ name }) => startTyping(name),
  });
  talk = topics.subscribe(`talk:${room}`, {
    publication({ name, text, id, at }) {
      unconfirmed.delete(id);
      stopTyping(name);
      showMessage(name, text, new Date(at));
    },
    gap(count) {
      if (count !== null) notice(`${count} messages are missing here.`);
    },
    subscribed({ recovered, again }) {
      if (!again) {
        notice(`You joined as ${you.name}.`);
      } else if (recovered) {
        notice("You are back. Nothing is missing.");
      } else {
        notice(`You are back. Messages from the ${duration(Date.now() - lostAt)} you were away may be missing.`);
      }
      live = true;
      lostAt = 0;
      showProblem("");
      putBackUnconfirmed();
    },
  });
}

function status(status) {
  statusLine(status);
  if (status.state === "connecting" || status.state === "connected") return;
  if (live) lostAt ||= Date.now();
  stopTyping();
  if (status.state === "stopped") {
    putBackUnconfirmed();
    if (status.code === 1009) showProblem("That message is too long for the server.");
  } else if (unconfirmed.size) {
    showProblem(`Not confirmed yet: “${[...unconfirmed.values()].join("”, “")}”`);
  }
}

const statusLine = showStatus($("status"), () => topics.retry());

// What is said to us alone.
function message({ type, name, identity, detail, id }) {
  if (type === "welcome") {
    you = { name, identity };
    showPeople(people.members);
  } else if (type === "problem") {
    putBack([unconfirmed.get(id) ?? ""]);
    unconfirmed.delete(id);
    showProblem(detail);
  }
}

// Writing

function send() {
  const text = draft.value.trim();
  if (!text) return;
  const id = `${Date.now()}-${Math.random()}`;
  if (!topics.send({ type: "say", text, id })) {
    showProblem(NOT_CONNECTED);
    return;
  }
  unconfirmed.set(id, text);
  typingSent = 0; // whoever goes on typing after this is typing the next one
  showProblem("");
  setDraft("");
  toBottom();
}

function putBack(texts) {
  setDraft([...texts, draft.value].filter(Boolean).join("\n"));
}

// Whatever did not come back goes back to where it was written, in front of what was written since.
function putBackUnconfirmed() {
  putBack([...unconfirmed.values()]);
  unconfirmed.clear();
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
  if (!draft.value || Date.now() - typingSent < TYPING_EVERY) return;
  if (topics.send({ type: "typing" })) typingSent = Date.now();
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
  const own = name === you.name;
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

function showPeople(everybody) {
  $("count").textContent = $("count-short").textContent = everybody.size;
  $("people-list").replaceChildren(
    ...[...everybody].map(([identity, { name }]) => {
      const item = element("li", "");
      item.append(face(name), element("span", "name", name));
      if (identity === you.identity) item.append(element("span", "quiet", "you"));
      return item;
    }),
  );
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
  if (live && (!atBottom || document.hidden)) unread += 1;
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

document.addEventListener("visibilitychange", showUnread);
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
