"""
The ratios of a run, drawn as SVG.

With matplotlib: logarithmic axes, and text that does not overlap, are more than a page
of code, and who does not measure need not install it.
"""

import io
import textwrap
from collections.abc import Sequence
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from benchmarks.results import Run
from benchmarks.summary import OURS, Ratio, ratios

COLOURS: Final = ("#1b6ca8", "#c8553d", "#5b8c3a", "#7a5195")
"""Of the peers, in their order; apart for those who do not tell red from green."""

MARKERS: Final = "osD^"

TICKS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)

WIDTH: Final = 24
"""Characters of a row's title before it is folded."""

STYLE: Final[dict[Any, Any]] = {
    # Text stays text, and the same run is the same file.
    "svg.fonttype": "none",
    "svg.hashsalt": "pgproxy",
    "font.family": "sans-serif",
    "font.size": 9,
}

PANELS: Final = (
    ("What pgproxy costs: CPU, or memory", ("cpu", "memory"), "less"),
    ("What it gets done: throughput", ("rate",), "more"),
)


def svg(run: Run) -> str:
    """Return the drawing: a dot for each ratio, with a line for its spread."""
    with mpl.rc_context(rc=STYLE):
        canvas = Canvas(figsize=(10, 4.6), layout="constrained")
        axes = canvas.subplots(1, len(PANELS))
        for one, (title, keys, better) in zip(axes, PANELS, strict=True):
            chosen = [found for found in ratios(run) if found.figure.key in keys]
            _panel(one, run, chosen)
            one.set_title(f"{title}\n(a ratio; {better} is better)", fontsize=9)
        handles, labels = axes[-1].get_legend_handles_labels()
        canvas.legend(
            handles,
            labels,
            loc="outside lower center",
            ncols=len(labels),
            frameon=False,
        )
        out = io.StringIO()
        canvas.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()


def _panel(axes: Axes, run: Run, chosen: Sequence[Ratio]) -> None:
    rows = list(dict.fromkeys(one.measured.title for one in chosen))
    peers = [key for key in run.systems if key != OURS]
    for number, peer in enumerate(peers):
        dots = [one for one in chosen if one.peer == peer]
        # Side by side, or one would hide the other.
        shift = (number - (len(peers) - 1) / 2) * 0.2
        medians = [one.spread.median for one in dots]
        axes.errorbar(
            medians,
            [rows.index(one.measured.title) + shift for one in dots],
            xerr=[
                [one.spread.median - one.spread.low for one in dots],
                [one.spread.high - one.spread.median for one in dots],
            ],
            fmt=MARKERS[number % len(MARKERS)],
            color=COLOURS[number % len(COLOURS)],
            markersize=5,
            elinewidth=1,
            label=f"pgproxy to {run.systems[peer]}",
        )
    axes.set_yticks(range(len(rows)), [textwrap.fill(row, WIDTH) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=0.8)
    axes.minorticks_off()
    left, right = axes.get_xlim()
    ticks = [tick for tick in TICKS if left <= tick <= right]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
