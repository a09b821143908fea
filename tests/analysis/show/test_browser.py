"""The page in a real browser, where there is one: its scripts run under its policy, tables sort, legends toggle."""

import re
import shutil
import subprocess

import pytest

from lth.analysis.show.page import write_page
from tests.analysis.show.samples import SECTIONS, hostile

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WORDS = {"title": "T", "lead": "L.", "facts": {}}
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--virtual-time-budget=20000"),
    *("--enable-logging=stderr", "--dump-dom"),
)
PROBE = """<script>
window.addEventListener("load", async () => {
  while (!document.documentElement.classList.contains("alive")) await new Promise((done) => setTimeout(done, 50));
  const order = (table) => [...table.tBodies[0].rows].map((row) => row.cells[0].textContent).join();
  const table = document.querySelector(".table table"), names = [...table.tHead.rows[0].cells];
  const sorted = [];
  for (const n of [2, 2, 0, 5]) { names[n].querySelector("button").click(); sorted.push(order(table)); }
  const plot = document.querySelector(".js-plotly-plot"), item = plot.querySelector(".legendtoggle");
  const said = (type) => item.dispatchEvent(new MouseEvent(type, { bubbles: true }));
  said("mousedown"); said("mouseup");
  await new Promise((done) => setTimeout(done, 1000));
  const hidden = plot.data.filter((trace) => trace.visible === "legendonly").map((trace) => trace.legendgroup);
  const ticks = plot._fullLayout.xaxis.ticktext.join();
  document.body.dataset.found = [...sorted, hidden.join(), ticks].join(" | ");
});
</script>"""

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")]


def opened(path, profile):
    """The document after its scripts have run, and what the console said."""
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return done.stdout, re.findall(r".*CONSOLE.*", done.stderr)


@pytest.mark.parametrize("sections", [SECTIONS, hostile()], ids=["samples", "hostile"])
def test_scripts_run_under_the_policy_and_nothing_else_does(sections, tmp_path):
    path = write_page(sections, tmp_path / "report.html", **WORDS)
    document, console = opened(path, tmp_path / "profile")
    assert console == []
    assert 'class="alive"' in document
    assert document.count("js-plotly-plot") >= sum(len(section.charts) for section in sections)
    body = document[document.index("<body") :]
    assert "<img" not in body
    assert not re.search(r"<script>alert", body)


def test_tables_sort_and_legends_toggle(tmp_path):
    path = write_page(SECTIONS, tmp_path / "report.html", **WORDS)
    page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", path.read_text(encoding="utf-8"))
    path.write_text(page.replace("</body>", PROBE + "</body>"), encoding="utf-8")
    document, console = opened(path, tmp_path / "profile")
    assert console == []
    found = re.search(r'data-found="([^"]*)"', document)[1].split(" | ")
    by_density, back, by_name, by_p, hidden, ticks = found
    assert by_density == "layerwise,constant,random"
    assert back == "random,constant,layerwise"
    assert by_name == "constant,layerwise,random"
    assert by_p == "random,layerwise,constant"  # what is not known comes last
    assert hidden == "s0,s0"  # the line and its band
    assert "100" in ticks.split(",")
