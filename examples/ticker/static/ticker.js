// The ticker page: takes prices as they come, and draws them once a frame, however many came.

import { showStatus } from "../browser/status.js";
import { Topics } from "../browser/topics.js";

const SHOWN = 300; // prices that a chart is wide, those that were skipped among them

const $ = (id) => document.getElementById(id);
const money = new Intl.NumberFormat(undefined, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const percent = new Intl.NumberFormat(undefined, { style: "percent", minimumFractionDigits: 2, signDisplay: "exceptZero" });
const whole = new Intl.NumberFormat();

const series = new Map(); // by name
let epoch = "";
let received = 0;
let frame = 0;

const topics = new Topics("live", { status: showStatus($("status"), () => topics.retry()) });

topics.subscribe("prices", {
  publication({ name, price, number }, position) {
    if (position.epoch !== epoch) startAnew(position.epoch);
    received += 1;
    const { points, card } = series.get(name) ?? add(name, price);
    const last = points.at(-1)?.number ?? number - 1;
    series.get(name).skipped += number - last - 1;
    points.push({ number, price });
    while (points[0].number <= number - SHOWN) points.shift();
    card.dataset.number = number;
    frame ||= requestAnimationFrame(draw);
  },
});

// Another server, or the same one after a restart: its prices are not continued from those before.
function startAnew(newEpoch) {
  epoch = newEpoch;
  received = 0;
  series.clear();
  $("prices").replaceChildren();
}

function add(name, price) {
  const card = $("card").content.firstElementChild.cloneNode(true);
  card.querySelector("h2").textContent = card.dataset.name = name;
  $("prices").append(card);
  $("empty").hidden = true;
  const made = { card, points: [], first: price, skipped: 0 };
  series.set(name, made);
  return made;
}

function draw() {
  frame = 0;
  let skipped = 0;
  for (const each of series.values()) {
    drawCard(each);
    skipped += each.skipped;
  }
  $("received").textContent = whole.format(received);
  $("skipped").textContent = whole.format(skipped);
}

function drawCard({ card, points, first, skipped }) {
  const { price, number } = points.at(-1);
  const change = price / first - 1;
  card.querySelector(".price").textContent = money.format(price);
  card.querySelector(".change").textContent = percent.format(change);
  card.querySelector(".skipped").textContent = whole.format(skipped);
  card.classList.toggle("down", change < 0);

  const prices = points.map((point) => point.price);
  const low = Math.min(...prices);
  const high = Math.max(...prices);
  const x = (point) => 200 * (1 - (number - point.number) / (SHOWN - 1));
  const y = (point) => 56 - (52 * (point.price - low)) / (high - low || 1);
  const line = points.map((point) => `${x(point).toFixed(1)} ${y(point).toFixed(1)}`).join("L");
  card.querySelector(".line").setAttribute("d", `M${line}`);
  card.querySelector(".area").setAttribute("d", `M${x(points[0]).toFixed(1)} 60L${line}L200 60Z`);
}
