"""Charts and heat maps as SVG and PNG, drawn by Vega-Lite without a browser and without a network."""

import re

from markupsafe import Markup

from lth.analysis.document import Chart, Heat
from lth.analysis.show.chart import PAGE_WIDTH, specification
from lth.analysis.show.look import VARIABLES


def to_svg(part: Chart | Heat, **options) -> str:
    """Return a chart as an SVG document whose text stays text; the same chart gives the same bytes.

    Args:
        options: as `specification` takes them.
    """
    import vl_convert  # a browser's engine: only where something is drawn

    return _from_zero(vl_convert.vegalite_to_svg(specification(part, **options), allowed_base_urls=[]))


def to_png(svg: str, dpi: int = 200) -> bytes:
    """Return an SVG document of ours as a PNG on white."""
    import vl_convert

    white = re.sub(r"(<svg [^>]*>)", r'\1<rect width="100%" height="100%" fill="white"/>', svg, count=1)
    return vl_convert.svg_to_png(white, scale=dpi / 96)


def inline(part: Chart | Heat, prefix: str) -> Markup:
    """Return a chart as SVG to stand in a page: ids of its own, the page's font, colours from its style sheet."""
    svg = to_svg(part, width=PAGE_WIDTH)
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{prefix}-", svg)
    svg = re.sub(r' font-family="[^"]*"', "", svg)
    svg = re.sub(
        r'(<svg [^>]*?)width="([\d.]+)" height="[\d.]+"', r'\1style="--natural: \2px" role="img"', svg, count=1
    )
    return Markup(themed(svg))


def themed(text: str) -> str:
    """Return what names our colours with the names that the page's style sheet gives them."""
    return re.sub("|".join(VARIABLES), lambda found: VARIABLES[found[0]], text)


def _from_zero(svg: str) -> str:
    """Number the ids from 0: Vega counts over all that a process has drawn."""
    known: dict[str, int] = {}
    return re.sub(r"(?<=[\"#])([a-z]+_?)(\d+)(?=[\")])", lambda m: f"{m[1]}{known.setdefault(m[0], len(known))}", svg)
