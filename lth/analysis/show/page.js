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

// One chart: the specification as it is, with a legend that fits the width of the page.
async function draw(place, figure) {
  const longest = Math.max(0, ...figure.labels.map((label) => label.length));
  const columns = Math.max(1, Math.floor(place.parentNode.clientWidth / (7 * longest + 45)));
  const spec = { ...figure.spec, config: { ...figure.spec.config, legend: { ...figure.spec.config.legend, columns } } };
  const tooltip = { theme: "page", disableDefaultStyle: true };
  await vegaEmbed(place, spec, { ast: true, renderer: "svg", actions: false, defaultStyle: false, tooltip });
}

async function start() {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  if (!figures.length || !window.DecompressionStream) return;
  await library();
  for (const figure of figures) {
    const place = document.getElementById(figure.id);
    place.closest("figure").classList.add("live");
    await draw(place, figure);
  }
  document.documentElement.classList.add("alive");
  if (location.hash) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("th button");
  if (button) sortBy(button);
});
start();
