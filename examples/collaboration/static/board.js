// The board: its notes, where everybody's cursor is, and what everybody has chosen.
//
// A change is shown at once and sent soon after. Everybody, its author too, gets all changes in one order, and the last
// one of a note stays; until our own one has come round, those before it are not worth showing.

import { showStatus } from "../browser/status.js";
import { Topics } from "../browser/topics.js";

const EVERY = 50; // milliseconds between two messages about the same thing
const STEP = 20; // that an arrow key moves a note
const MOST = 100; // notes that the server takes
const ME = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 10)}`; // this page, until it is reloaded

const $ = (id) => document.getElementById(id);
const board = $("board");

const notes = new Map(); // by id: { x, y, text }
const elements = new Map(); // by id
const unsent = new Map(); // by id: the timer of a change that is sent soon
const unconfirmed = new Map(); // by id: how many changes of ours have not come round yet
const cursors = new Map(); // by identity: { x, y, element }
let identity = "";
let chosen = null; // the note that has the focus

// The connection

const statusLine = showStatus($("status"), () => topics.retry());
const topics = new Topics("live", { status: statusLine, message });

const shared = topics.subscribe("board", {
  publication(change) {
    if (change.by === ME) confirm(change.id);
    take(change);
  },
  presence: showPeople,
  subscribed() {
    // What we changed while we were away, or what got lost on the way.
    for (const id of unconfirmed.keys()) send(id, 1);
    topics.send({ type: "choose", note: chosen });
    showEmpty();
  },
});

topics.subscribe("cursors", {
  publication({ identity: whose, x, y }) {
    if (whose === identity) return; // another tab
    cursors.set(whose, { ...cursors.get(whose), x, y });
    showCursors();
  },
});

// What is said to us alone.
function message(message) {
  if (message.type === "welcome") {
    identity = message.identity;
    showPeople();
  } else if (message.type === "state") {
    const there = new Set(message.notes.map((note) => note.id));
    for (const id of notes.keys()) if (!there.has(id)) take({ type: "remove", id });
    for (const note of message.notes) take(note);
  }
}

// Notes

function take({ type, id, x, y, text }) {
  if (unsent.has(id) || unconfirmed.has(id)) return; // ours comes later, and stays
  if (type === "remove") notes.delete(id);
  else notes.set(id, { x, y, text });
  showNote(id);
}

function change(id, changes) {
  notes.set(id, { ...notes.get(id), ...changes });
  showNote(id);
  if (!unsent.has(id)) unsent.set(id, setTimeout(send, EVERY, id));
}

function remove(id) {
  notes.delete(id);
  showNote(id);
  send(id);
}

function send(id, count = (unconfirmed.get(id) ?? 0) + 1) {
  clearTimeout(unsent.get(id));
  unsent.delete(id);
  unconfirmed.set(id, count);
  const note = notes.get(id);
  topics.send(note ? { type: "put", id, by: ME, ...note } : { type: "remove", id, by: ME });
}

function confirm(id) {
  const left = (unconfirmed.get(id) ?? 0) - 1;
  if (left > 0) unconfirmed.set(id, left);
  else unconfirmed.delete(id);
}

function showNote(id) {
  const note = notes.get(id);
  const element = elements.get(id) ?? (note && addElement(id));
  if (!note) {
    element?.remove();
    elements.delete(id);
  } else {
    element.style.translate = `${note.x}px ${note.y}px`;
    const area = element.querySelector("textarea");
    if (area.value !== note.text) {
      const { selectionStart, selectionEnd } = area;
      area.value = note.text;
      if (document.activeElement === area) area.setSelectionRange(selectionStart, selectionEnd);
    }
  }
  showEmpty();
}

function showEmpty() {
  $("empty").hidden = notes.size > 0;
  $("add").disabled = notes.size >= MOST;
}

function addElement(id) {
  const element = $("note").content.firstElementChild.cloneNode(true);
  const area = element.querySelector("textarea");
  const handle = element.querySelector(".move");
  element.dataset.id = id;
  elements.set(id, element);
  $("notes").append(element);
  showChosen(id); // somebody may have done so before it came

  area.addEventListener("input", () => change(id, { text: area.value }));
  element.querySelector(".remove").addEventListener("click", () => remove(id));
  element.addEventListener("focusin", () => choose(id));
  element.addEventListener("focusout", () => choose(null));

  let grip = null; // where on the note it was taken
  handle.addEventListener("pointerdown", (event) => {
    handle.setPointerCapture(event.pointerId);
    const { x, y } = notes.get(id);
    const at = place(event);
    grip = { x: at.x - x, y: at.y - y };
  });
  handle.addEventListener("pointermove", (event) => {
    if (!grip) return;
    const at = place(event);
    move(id, at.x - grip.x, at.y - grip.y);
  });
  handle.addEventListener("lostpointercapture", () => (grip = null));
  handle.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!way) return;
    event.preventDefault();
    const { x, y } = notes.get(id);
    move(id, x + way[0] * STEP, y + way[1] * STEP);
  });
  return element;
}

function move(id, x, y) {
  const { offsetWidth, offsetHeight } = elements.get(id);
  const within = (value, most) => Math.round(Math.max(0, Math.min(most, value)));
  change(id, { x: within(x, board.clientWidth - offsetWidth), y: within(y, board.clientHeight - offsetHeight) });
}

function choose(id) {
  chosen = id;
  topics.send({ type: "choose", note: id });
}

// A place in sight where no other note is, if there is one.
function room() {
  const view = document.querySelector("main");
  const left = view.scrollLeft + 30;
  const top = view.scrollTop + 40;
  const taken = (x, y) => [...notes.values()].some((note) => Math.abs(note.x - x) < 200 && Math.abs(note.y - y) < 150);
  for (let y = top; y + 140 < view.scrollTop + view.clientHeight; y += 165) {
    for (let x = left; x + 190 < view.scrollLeft + Math.min(view.clientWidth, board.clientWidth); x += 215) {
      if (!taken(x, y)) return { x: Math.round(x), y: Math.round(y) };
    }
  }
  const step = (notes.size % 8) * 30;
  return { x: Math.round(left) + step, y: Math.round(top) + step };
}

$("add").addEventListener("click", () => {
  const id = `${ME}-${notes.size}-${Math.random().toString(36).slice(2, 6)}`.slice(0, 32);
  change(id, { ...room(), text: "" });
  elements.get(id).querySelector("textarea").focus();
});

// Cursors

function place(event) {
  const { left, top } = board.getBoundingClientRect();
  return { x: event.clientX - left, y: event.clientY - top };
}

let pointer = null;
let pointing = 0;

function point(at) {
  pointer = at;
  pointing ||= setTimeout(() => {
    pointing = 0;
    topics.send({ type: "point", ...pointer });
  }, EVERY);
}

board.addEventListener("pointermove", (event) => {
  const { x, y } = place(event);
  const within = (value, most) => Math.round(Math.max(0, Math.min(most, value)));
  point({ x: within(x, board.clientWidth), y: within(y, board.clientHeight) });
});
board.addEventListener("pointerleave", () => point({ x: null, y: null }));

// Only who is here has a cursor; the last place of somebody who has left may still be known.
function showCursors() {
  for (const [whose, cursor] of cursors) {
    const person = whose === identity ? undefined : shared.members.get(whose);
    if (!person || cursor.x === null) {
      cursor.element?.remove();
      delete cursor.element;
      continue;
    }
    if (!cursor.element) {
      cursor.element = $("cursor").content.firstElementChild.cloneNode(true);
      cursor.element.dataset.identity = whose;
      $("cursors").append(cursor.element);
    }
    cursor.element.style.translate = `${cursor.x}px ${cursor.y}px`;
    cursor.element.style.setProperty("--hue", person.hue);
    cursor.element.querySelector("span").textContent = person.name;
  }
}

// People

function showPeople() {
  const everybody = [...shared.members];
  $("people").replaceChildren(
    ...everybody.map(([whose, { name, hue }]) => {
      const item = document.createElement("li");
      const face = Object.assign(document.createElement("span"), { className: "face", textContent: [...name][0] });
      face.ariaHidden = "true";
      face.style.setProperty("--hue", hue);
      const label = Object.assign(document.createElement("span"), { className: "name", textContent: name });
      item.title = whose === identity ? `${name} (you)` : name;
      item.classList.toggle("you", whose === identity);
      item.append(face, label);
      return item;
    }),
  );
  const me = shared.members.get(identity);
  if (me && document.activeElement !== $("name")) $("name").value = me.name;

  for (const id of elements.keys()) showChosen(id);
  showCursors();
}

function showChosen(id) {
  const element = elements.get(id);
  const others = [...shared.members].filter(([whose, { note }]) => note === id && whose !== identity);
  element.classList.toggle("chosen", others.length > 0);
  element.style.setProperty("--hue", others[0]?.[1].hue ?? 0);
  element.querySelector(".chosen-by").textContent = others.map(([, { name }]) => name).join(", ");
}

$("name").addEventListener("change", () => {
  const name = $("name").value.trim();
  if (!name) return;
  // The next connection, of any tab, says it by itself.
  document.cookie = `name=${encodeURIComponent(name)}; path=/; max-age=31536000; samesite=strict`;
  topics.send({ type: "rename", name });
});
$("name").addEventListener("keydown", (event) => event.key === "Enter" && $("name").blur());
