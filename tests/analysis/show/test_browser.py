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
  const place = document.querySelector(".live .chart > div");
  const faint = () => [...place.querySelectorAll(".mark-line path, .mark-symbol.role-mark path")]
    .filter((mark) => Number(getComputedStyle(mark).opacity) < 0.5).length;
  const before = faint(), all = place.querySelectorAll(".mark-line path, .mark-symbol.role-mark path").length;
  const name = [...place.querySelectorAll(".role-legend-label text")].find((text) => text.textContent === "layerwise");
  const at = name.getBoundingClientRect();
  const where = { bubbles: true, clientX: at.x + at.width / 2, clientY: at.y + at.height / 2 };
  for (const type of ["pointermove", "pointerdown", "pointerup", "click"])
    name.dispatchEvent(new PointerEvent(type, where));
  await new Promise((done) => setTimeout(done, 1000));
  const after = faint();
  const point = [...place.querySelectorAll(".mark-symbol.role-mark")].at(-1).querySelector("path");
  const dot = point.getBoundingClientRect();
  point.dispatchEvent(new PointerEvent("pointermove", { bubbles: true, clientX: dot.x + 2, clientY: dot.y + 2 }));
  await new Promise((done) => setTimeout(done, 300));
  const tooltip = document.getElementById("vg-tooltip-element").textContent;
  const ticks = [...place.querySelectorAll(".role-axis-label text")].map((text) => text.textContent).join();
  document.body.dataset.found = [...sorted, before, after < all && after, tooltip, ticks].join(" | ");
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
    assert document.count('class="marks"') == sum(2 * len(section.charts) for section in sections)  # still and alive
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
    by_density, back, by_name, by_p, before, after, tooltip, ticks = found
    assert by_density == "layerwise,constant,random"
    assert back == "random,constant,layerwise"
    assert by_name == "constant,layerwise,random"
    assert by_p == "random,layerwise,constant"  # what is not known comes last
    assert int(before) == 0 and int(after) > 2  # the others are faint
    assert "layerwise · dense" in tooltip and "8.9 % (7.0–10.9)" in tooltip and "100.0 %" in tooltip
    assert "100" in ticks.split(",")
