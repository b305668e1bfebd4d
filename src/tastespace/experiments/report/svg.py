"""Turn a matplotlib figure into an `svg` element with the colours of the page and unique ids."""

import io
import unicodedata
from html import escape
from xml.etree import ElementTree as Tree

from matplotlib import style
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from tastespace.experiments.report.markup import visible

# Colours that no plot uses otherwise: each is replaced by a variable of the style sheet, set for light and dark.
INK, MUTED, RULE, PAPER = "#010a01", "#010a02", "#010a03", "#010a04"
SERIES = [f"#020b{index:02x}" for index in range(8)]
_COLOURS = {
    INK: "currentColor",
    MUTED: "var(--muted)",
    RULE: "var(--rule)",
    PAPER: "var(--paper)",
    **{colour: f"var(--series-{index})" for index, colour in enumerate(SERIES)},
}
WIDTH = 4.6  # inches: 331 units, so that small type stays readable where the page is a phone's width
_RC_PARAMS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "tastespace",
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9.5,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "axes.facecolor": "none",
    "axes.edgecolor": RULE,
    "grid.color": RULE,
    "grid.linewidth": 0.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.useoffset": False,
    "lines.linewidth": 1.4,
    "path.simplify": True,
}


class Drawing:
    """A figure to draw in. Used as `with Drawing(height) as drawing:`, and `svg` when all is drawn.

    Names of models and the like are never passed to matplotlib, which would read `$` as mathematics and lacks many
    glyphs: `label` returns a placeholder of the same width, and `svg` puts the name in its index.
    """

    def __init__(self, height: float) -> None:
        self._height = height
        self._labels: dict[str, str] = {}

    def __enter__(self) -> "Drawing":
        self._style = style.context(["default", _RC_PARAMS])
        self._style.__enter__()
        self.figure = Figure(figsize=(WIDTH, self._height), layout="constrained")
        self.figure.patch.set_visible(False)
        self._canvas = FigureCanvasSVG(self.figure)
        return self

    def __exit__(self, *error: object) -> None:
        self._style.__exit__(None, None, None)

    def label(self, name: object, longest: int = 20) -> str:
        """Placeholder of a name, which is cut at `longest` columns (a wide character takes two)."""
        shown = visible(name, longest)
        columns = _columns(shown)
        while columns > longest:
            shown = f"{shown[:-2]}…"
            columns = _columns(shown)
        placeholder = f"q{len(self._labels):03d}".ljust(columns, "n")
        self._labels[placeholder] = shown
        return placeholder

    def svg(self, ident: str, title: str, about: str) -> str:
        """The plot as an `svg` element whose ids all begin with `ident`; `title` and `about` are plain text."""
        out = io.BytesIO()
        self._canvas.print_svg(out, metadata={"Date": None})  # type: ignore[no-untyped-call]
        root = Tree.fromstring(out.getvalue())  # noqa: S314  (written by matplotlib, from placeholders)
        referenced = {link for element in root.iter() for link in _links(element)}
        for parent in list(root.iter()):
            for child in list(parent):
                if _local(child.tag) in {"metadata", "style"}:
                    parent.remove(child)
        for element in root.iter():
            self._adopt(element, ident, referenced)
        box = root.get("viewBox", "")
        root.attrib.clear()
        root.attrib.update(
            {"viewBox": box, "role": "img", "aria-labelledby": f"{ident}-title", "aria-describedby": f"{ident}-desc"}
        )
        inside = "".join(Tree.tostring(child, encoding="unicode") for child in root)
        attributes = " ".join(f'{name}="{escape(value)}"' for name, value in root.attrib.items())
        return (
            f'<svg {attributes}><title id="{ident}-title">{escape(visible(title, 200))}</title>'
            f'<desc id="{ident}-desc">{escape(visible(about, 2000))}</desc>\n{inside}</svg>'
        )

    def _adopt(self, element: Tree.Element, ident: str, referenced: set[str]) -> None:
        element.tag = _local(element.tag)
        element.tail = None
        if element.text is not None:
            content = element.text.strip()
            element.text = self._labels.get(content, content) or None
        for key, value in list(element.attrib.items()):
            del element.attrib[key]
            if key == "id" and value not in referenced:
                continue
            if key == "style":
                for colour, variable in _COLOURS.items():
                    value = value.replace(colour, variable)  # noqa: PLW2901
                value = value.replace("'DejaVu Sans'", "sans-serif")  # noqa: PLW2901
            for link in _links_of(value, key):
                value = value.replace(f"#{link}", f"#{ident}-{link}")  # noqa: PLW2901
            element.set(_local(key), f"{ident}-{value}" if key == "id" else value)


def _columns(shown: str) -> int:
    return sum(2 if unicodedata.east_asian_width(mark) in "WF" else 1 for mark in shown)


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _links(element: Tree.Element) -> list[str]:
    return [link for key, value in element.attrib.items() for link in _links_of(value, key)]


def _links_of(value: str, key: str) -> list[str]:
    """Ids that an attribute points to: `href="#id"` or `clip-path="url(#id)"`."""
    if _local(key) == "href":
        return [value.removeprefix("#")]
    return [part.partition(")")[0] for part in value.split("url(#")[1:]]
