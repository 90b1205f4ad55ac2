"use strict";

const KEPT_SECONDS = 600;
const TIMEOUT_MILLIS = 5000;
const MAX_TENANTS = 64;

const byId = id => document.getElementById(id);
const whole = new Intl.NumberFormat("en");

function bytes(n) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (n >= 1024 && unit < units.length - 1) {
    n /= 1024;
    unit++;
  }
  const digits = unit === 0 || n >= 100 || Number.isInteger(n) ? 0 : n >= 10 ? 1 : 2;
  return `${n.toFixed(digits)} ${units[unit]}`;
}

const percent = share => share === null ? "–" : `${Number((share * 100).toFixed(share < 0.1 ? 1 : 0))} %`;

function count(n, one, many) {
  return `${whole.format(n)} ${n === 1 ? one : many}`;
}

function duration(seconds) {
  const parts = [
    [Math.floor(seconds / 86400), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "min"],
    [seconds % 60, "s"],
  ];
  const first = parts.findIndex(([n]) => n > 0);
  return parts.slice(first < 0 ? 3 : first).slice(0, 2).map(([n, unit]) => `${n} ${unit}`).join(" ");
}

const clock = seconds => new Date(seconds * 1000).toLocaleTimeString("en-GB");

function set(id, text) {
  const element = byId(id);
  if (element.textContent !== text) {
    element.textContent = text;
  }
}

// The plots

const color = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// The data of the plots as columns: time in seconds, bytes requested, used and saved, CPU share, and hit rate.
let columns;
// The total hits and misses at the newest point.
let lastReads;

const line = (name, key, column, options = {}) => ({name, key, column, ...options});

const plots = [
  plot("plot-memory", bytes, binary, [
    line("used", "used", 2, {fill: true}),
    line("requested", "requested", 1, {dash: [7, 4]}),
  ]),
  plot("plot-saved", bytes, binary, [line("saved", "saved", 3, {fill: true})]),
  plot("plot-cpu", percent, top => ticks(top, [0.02, 0.05, 0.1, 0.25]), [line("of one core", "cpu", 4, {fill: true})]),
  plot("plot-hits", percent, () => ticks(1, [0.25]), [line("of reads", "hits", 5)]),
];

/** Returns the maximum and the step of an axis that shows all values up to top. */
function ticks(top, steps) {
  const step = steps.find(step => step * 4 >= top) ?? steps.at(-1);
  return {max: Math.max(1, Math.ceil(top / step)) * step, step};
}

function binary(top) {
  return ticks(top, [2 ** Math.max(18, Math.ceil(Math.log2(top / 4)))]);
}

function atRoundTimes(scale) {
  const step = scale.options.ticks.stepSize;
  scale.ticks = [];
  for (let value = Math.ceil(scale.min / step) * step; value <= scale.max; value += step) {
    scale.ticks.push({value});
  }
}

function plot(id, format, scaleTo, lines) {
  const figure = byId(id);
  const caption = figure.querySelector("figcaption");
  const title = caption.textContent;
  const values = lines.map(({name, key}) => {
    const label = caption.appendChild(document.createElement("span"));
    label.appendChild(document.createElement("i")).className = `key ${key}`;
    label.append(`${name} `);
    return label.appendChild(document.createElement("b"));
  });
  const box = figure.appendChild(document.createElement("div"));
  box.className = "plot";
  box.setAttribute("role", "img");

  const axis = {
    border: {display: false},
    grid: {color: () => color("--grid"), drawTicks: false},
  };
  const tick = {color: () => color("--soft"), font: {size: 12}, maxRotation: 0, padding: 6};
  const chart = new Chart(box.appendChild(document.createElement("canvas")), {
    type: "line",
    data: {
      datasets: lines.map(({name, key, dash, fill}) => ({
        label: name,
        data: [],
        fill: fill && "origin",
        borderColor: () => color(`--${key}`),
        backgroundColor: () => `${color(`--${key}`)}2e`,
        borderDash: dash,
        // Draws lines at the very top or bottom in their full width.
        clip: 4,
      })),
    },
    options: {
      animation: false,
      maintainAspectRatio: false,
      parsing: false,
      normalized: true,
      spanGaps: true,
      interaction: {mode: "index", axis: "x", intersect: false},
      elements: {line: {borderWidth: 2}, point: {radius: 0, hitRadius: 0, hoverRadius: 3}},
      plugins: {
        legend: {display: false},
        tooltip: {
          callbacks: {
            title: ([{parsed}]) => clock(parsed.x),
            label: ({dataset, parsed}) => `${format(parsed.y)} ${dataset.label}`,
          },
        },
      },
      scales: {
        x: {...axis, type: "linear", ticks: {...tick, callback: clock}, afterBuildTicks: atRoundTimes},
        y: {...axis, min: 0, ticks: {...tick, callback: format}, afterFit: scale => scale.width = 66},
      },
    },
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => chart.update());

  return () => {
    const times = columns[0];
    lines.forEach(({column}, i) => {
      chart.data.datasets[i].data = times.map((x, at) => ({x, y: columns[column][at]})).filter(({y}) => y !== null);
    });
    const {x, y} = chart.options.scales;
    x.max = times.at(-1);
    x.min = Math.min(times[0], x.max - 60);
    const maxTicks = box.clientWidth < 420 ? 3.5 : 6;
    x.ticks.stepSize = [15, 30, 60, 120, 180].find(step => step * maxTicks >= x.max - x.min) ?? 300;
    const {max, step} = scaleTo(Math.max(0, ...lines.flatMap(({column}) => columns[column])));
    y.max = max;
    y.ticks.stepSize = step;
    chart.update();

    const latest = lines.map(({column}) => format(columns[column].at(-1)));
    values.forEach((value, i) => value.textContent = latest[i]);
    const current = lines.map(({name}, i) => `${latest[i]} ${name}`).join(", ");
    box.setAttribute("aria-label", `${title}, the last ten minutes. Now ${current}.`);
  };
}

function draw() {
  plots.forEach(redraw => redraw());
}

function forget() {
  columns = [[], [], [], [], [], []];
  lastReads = null;
}

function remember({time, requestedBytes, residentBytes, savedBytes, coreShare, hits, misses}) {
  const seconds = time / 1000;
  if (seconds <= columns[0].at(-1)) {
    return;
  }
  const reads = lastReads === null ? 0 : hits + misses - lastReads.hits - lastReads.misses;
  const hitRate = reads > 0 ? (hits - lastReads.hits) / reads : null;
  lastReads = {hits, misses};
  const point = [seconds, requestedBytes, residentBytes, savedBytes, coreShare, hitRate];
  point.forEach((value, i) => columns[i].push(value));
  const stale = columns[0].findIndex(then => then >= seconds - KEPT_SECONDS);
  columns.forEach(column => column.splice(0, stale));
}

// The numbers

function show(now) {
  const {merging: {requestedBytes, residentBytes, savedBytes}, pool, ksmd} = now;
  set("requested", bytes(requestedBytes));
  set("used", bytes(residentBytes));
  set("saved", bytes(savedBytes));
  set("saved-share", requestedBytes > 0 ? `(${percent(savedBytes / requestedBytes)})` : "");
  byId("bar-used").style.width = requestedBytes > 0 ? `${Math.min(100, 100 * residentBytes / requestedBytes)}%` : "0";
  document.body.classList.toggle("empty", requestedBytes === 0);

  const reads = now.hits + now.misses;
  set("keys", whole.format(now.keys));
  set("hit-rate", reads > 0 ? percent(now.hits / reads) : "–");
  set("reads", reads > 0 ? `of ${count(reads, "read", "reads")}` : "no reads yet");
  set("cpu", percent(ksmd.coreShare));
  set("scans", ksmd.fullScans === null ? "no KSM" : count(ksmd.fullScans, "full scan", "full scans"));
  set("evicted", whole.format(now.evictedKeys));
  set("expired", `${whole.format(now.expiredKeys)} expired`);
  set("commands", whole.format(now.commands));
  set("clients", count(now.connectedClients, "client", "clients"));
  set("stopped", ksmd.fullScans === null
    ? "This machine has no KSM: nothing merges."
    : "ksmd is stopped: nothing merges until it is started.");
  byId("stopped").hidden = ksmd.running;

  set("capacity", bytes(pool.capacityBytes));
  set("blocks", bytes(pool.usedBytes));
  set("values", bytes(pool.valueBytes));
  set("wasted", pool.usedBytes > 0
    ? `${bytes(pool.wastedBytes)} (${percent(pool.wastedBytes / pool.usedBytes)})`
    : bytes(0));
  set("sharing", ksmd.pagesSharing === null ? "–" : whole.format(ksmd.pagesSharing));

  const tenants = now.tenants.filter(({keys}) => keys > 0);
  const total = tenants.reduce((sum, {valueBytes}) => sum + valueBytes, 0);
  byId("empty").hidden = tenants.length > 0;
  byId("tenants").hidden = tenants.length === 0;
  byId("more").hidden = tenants.length <= MAX_TENANTS;
  set("more", `and ${whole.format(tenants.length - MAX_TENANTS)} more`);
  byId("tenants").tBodies[0].replaceChildren(...tenants.slice(0, MAX_TENANTS).map(({index, keys, valueBytes}) => {
    const row = document.createElement("tr");
    for (const text of [String(index), whole.format(keys), bytes(valueBytes)]) {
      row.insertCell().textContent = text;
    }
    const share = row.insertCell().appendChild(document.createElement("span"));
    share.className = "share";
    share.style.width = `${total > 0 ? 100 * valueBytes / total : 0}%`;
    return row;
  }));
}

// Requests, once a second, while the page is visible

let asking = false;
let lastTime;

const pause = millis => new Promise(wake => setTimeout(wake, millis));

async function get(path) {
  const response = await fetch(path, {cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MILLIS)});
  if (!response.ok) {
    throw new Error(`${path}: ${response.status}`);
  }
  return response.json();
}

function alive(now) {
  lastTime = now.time;
  byId("gone").hidden = true;
  document.body.classList.remove("gone");
  set("status", `live, up ${duration(now.uptimeSeconds)}`);
}

function gone() {
  const since = lastTime === undefined ? "" : ` The numbers shown are from ${clock(lastTime / 1000)}.`;
  document.body.classList.add("gone");
  set("status", "no answer");
  set("gone", `The server does not answer.${since} Retrying every second.`);
  byId("gone").hidden = false;
}

// If afresh is true, also loads the server's coarser history of the time when this page did not request numbers.
async function ask(afresh) {
  let past, now;
  try {
    past = afresh ? await get("history.json") : null;
    now = await get("snapshot.json");
  } catch {
    gone();
    return false;
  }
  if (past !== null) {
    forget();
    past.forEach(remember);
  }
  remember({...now, ...now.merging, ...now.ksmd});
  show(now);
  draw();
  alive(now);
  return true;
}

async function keepAsking() {
  if (asking) {
    return;
  }
  asking = true;
  let answered = false;
  while (!document.hidden) {
    const started = performance.now();
    answered = await ask(!answered);
    await pause(Math.max(0, 1000 - (performance.now() - started)));
  }
  asking = false;
}

document.addEventListener("visibilitychange", keepAsking);
forget();
keepAsking();
