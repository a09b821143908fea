// Tables sort by a click on a column's name; charts come alive when the library has been unpacked.
"use strict";

function sortBy(button) {
  const head = button.closest("th"), body = head.closest("table").tBodies[0];
  const down = head.getAttribute("aria-sort") === "ascending";
  for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const value = (row) => row.cells[head.cellIndex].dataset.value;
  const known = (row) => (value(row) === "" ? 1 : 0);
  const compare = head.dataset.numeric !== undefined
    ? (a, b) => value(a) - value(b)
    : (a, b) => value(a).localeCompare(value(b), "en", { numeric: true });
  const rows = [...body.rows].sort((a, b) => known(a) - known(b) || (down ? compare(b, a) : compare(a, b)));
  body.append(...rows);
}

async function library() {
  const packed = Uint8Array.from(atob(document.getElementById("library").textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(stream).text();
  document.head.append(script);
}

function coloured(part) {
  const style = getComputedStyle(document.documentElement);
  const colour = (_, name, opacity) => {
    const hex = style.getPropertyValue(name).trim().replace(/^#(.)(.)(.)$/, "#$1$1$2$2$3$3");
    const parts = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
    return `rgba(${parts.join(",")},${opacity || 1})`;
  };
  return JSON.parse(JSON.stringify(part).replace(/var\((--[\w-]+)\)(?:\/([\d.]+))?/g, colour));
}

// Round numbers between the ends of a log axis, as fine as `most` of them allow.
function logTicks(range, most) {
  const [low, high] = [...range].sort((a, b) => a - b).map((end) => 10 ** end);
  let ticks = [];
  for (const steps of [[1, 1.5, 2, 3, 4, 5, 7], [1, 2, 3, 5], [1, 2, 5], [1, 3], [1]]) {
    ticks = [];
    for (let decade = Math.floor(Math.log10(low)); decade <= Math.log10(high); decade++)
      for (const step of steps) {
        const tick = Number((step * 10 ** decade).toPrecision(6));
        if (tick >= low && tick <= high) ticks.push(tick);
      }
    if (ticks.length <= most) break;
  }
  return ticks.length > 1 ? { tickmode: "array", tickvals: ticks, ticktext: ticks.map(String) } : { tickmode: "auto" };
}

function retick(plot) {
  const changes = {};
  for (const name of ["xaxis", "yaxis"]) {
    const axis = plot.layout[name];
    if (axis.type !== "log") continue;
    const room = name === "xaxis" ? plot.clientWidth / 65 : 8;
    for (const [key, value] of Object.entries(logTicks(axis.range, room))) changes[`${name}.${key}`] = value;
  }
  return Object.keys(changes).length ? Plotly.relayout(plot, changes) : null;
}

async function draw(plot, figure) {
  const coarse = matchMedia("(pointer: coarse)").matches;
  const longest = Math.max(0, ...figure.labels.map((label) => label.length));
  const columns = Math.max(1, Math.floor(plot.parentNode.clientWidth / (60 + 7 * longest)));
  const legend = figure.labels.length ? 16 + 20 * Math.min(12, Math.ceil(figure.labels.length / columns)) : 0;
  plot.style.minWidth = `${figure.least}px`;
  if (figure.widest) plot.style.maxWidth = `${Math.max(figure.widest, 320)}px`;
  plot.style.height = `${figure.height + legend}px`;
  const axis = { gridcolor: "var(--rule)", linecolor: "var(--muted)", tickcolor: "var(--muted)" };
  const layout = {
    ...figure.layout,
    autosize: true, uirevision: "same", dragmode: coarse || figure.still ? false : "zoom",
    margin: { l: 12, r: figure.right || 12, t: 34, b: 12 },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: "var(--ink)" },
    hoverlabel: { align: "left", bgcolor: "var(--wash)", bordercolor: "var(--muted)", font: { color: "var(--ink)" } },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: "var(--muted)", activecolor: "var(--ink)" },
    legend: { orientation: "h", x: 0, y: 0, xref: "paper", yref: "container", yanchor: "bottom" },
    xaxis: { ...axis, ...figure.layout.xaxis },
    yaxis: { ...axis, ...figure.layout.yaxis },
  };
  const config = {
    displaylogo: false, responsive: true, displayModeBar: figure.still ? false : coarse || "hover",
    modeBarButtons: [["zoomIn2d", "zoomOut2d", "resetScale2d", ...(coarse ? [] : ["toImage"])]],
  };
  const parts = coloured({ data: figure.data, layout });
  await Plotly.react(plot, parts.data, parts.layout, config);
  await retick(plot);
}

async function start() {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  if (!figures.length || !window.DecompressionStream) return;
  await library();
  const plots = figures.map((figure) => document.getElementById(figure.id));
  for (const [n, plot] of plots.entries()) {
    plot.closest("figure").classList.add("live");
    await draw(plot, figures[n]);
    plot.on("plotly_relayout", (changed) => {
      if (Object.keys(changed).some((key) => /range|autosize/.test(key))) retick(plot);
    });
  }
  document.documentElement.classList.add("alive");
  if (location.hash) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
  const recolour = () => plots.forEach((plot, n) => draw(plot, figures[n]));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("th button");
  if (button) sortBy(button);
});
start();
