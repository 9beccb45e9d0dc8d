"""search.py: a search by prefixes as a film: the tree grows run by run, the current path is lit.

Two steps a run: the run itself, which follows its prefix and then goes on; and a look back at the
choices that it has left open. The tree is laid out once, whole, so that nothing ever moves.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from os.path import commonprefix

import graphviz

from ..explore import Followed, Scenario, Search, every_schedule, follow, searched
from .dot import BAD, INK, INSTALL_HINT, draw_dot
from .figure import Figure, Note
from .theme import task_color

MAX_RUNS = 40
"""A tree with more leaves than this is no picture that anybody can read."""

LISTED = 12
"""So many runs of a larger search are listed instead."""

SHOWN = 6
"""So many open prefixes are named in a caption."""

STYLE = """<style>
.pfn-search path{stroke-width:1.4}
.pfn-search .now path,.pfn-search .now polygon{stroke-width:2.5}
.pfn-search .lead path{stroke-width:6}
.pfn-search .now text{font-weight:bold}
.pfn-search .open path{stroke-dasharray:2 3}
.pfn-search .pale{opacity:0.3}
</style>"""

LEGEND = (
    '<div class="pfn-legend" style="padding:2px 4px;font-size:90%">'
    "Thick: the prefix. Bold: on by itself. Thin: an earlier run. Dotted: not run yet. "
    "Faint: not known yet.</div>"
)

HOW = "Click Forward, or click here and press →."

PALE, OPEN, NOW, LEAD, WALKED = "pale", "open", "now", "now lead", ""
"""How a part looks: not known yet; known, not walked; on the path of this run, on the part of it
that the prefix fixes; walked in an earlier run."""


def walk(scenario: Scenario) -> Figure:
    """Search a small scenario depth first, and show it as a film.

    Raises ValueError when it has more than MAX_RUNS schedules.
    """
    runs: list[Followed] = []
    for one in every_schedule(scenario):
        if len(runs) == MAX_RUNS:
            raise ValueError(f"{scenario.name!r} has more than {MAX_RUNS} schedules.")
        before = runs[-1].schedule if runs else one.schedule
        same = len(commonprefix([before, one.schedule]))
        runs.append(follow(scenario, one.schedule[: same + 1] if runs else ""))
    return search_film(searched(runs))


def search_film(search: Search) -> Figure:
    """Walk through a search, run by run; one with many runs is a list."""
    runs = search.followed
    if len(runs) > MAX_RUNS:
        more = f"… and {len(runs) - LISTED} more."
        return Note("\n".join([search.headline, *_rows(runs[:LISTED]), more]), code=True)
    text = "\n".join([search.headline, *_rows(runs)])
    picture = _picture(runs)
    if picture is None:
        return Note(f"{text}\n{INSTALL_HINT}", code=True)
    failing = [2 * number + 1 for number, one in enumerate(runs) if one.bug]
    return Figure(
        [picture],
        text,
        label="The search, run by run",
        captions=captions(runs),
        stops=failing,
        looks=looks(runs),
        jump="Next failure",
    )


def path_figure(one: Followed) -> Figure:
    """Draw one run: the path it took, and the choices that it left open."""
    text = "\n".join(_path_lines(one))
    picture = _picture([one])
    if picture is None:
        return Note(f"{text}\n{INSTALL_HINT}", code=True)
    return Figure([picture], text, label="One run, and who else could have run")


def looks(runs: Sequence[Followed]) -> dict[str, list[str]]:
    """Tell how each part of the tree looks at each step of the film: one before, two a run.

    A part is a beginning of a schedule; it stands for its last step.
    """
    film = {part: [PALE] for part in _parts(runs)}
    known: dict[str, str] = {}
    for one in runs:
        path = {one.schedule[: i + 1] for i in range(len(one.schedule))}
        for look_back in (False, True):
            if look_back:
                known = {**dict.fromkeys(_left_open(one), OPEN), **known}
            for part, steps in film.items():
                if part in path:
                    steps.append(LEAD if len(part) <= len(one.prefix) else NOW)
                else:
                    steps.append(known.get(part, PALE))
        known |= dict.fromkeys(path, WALKED)
    return film


def captions(runs: Sequence[Followed]) -> list[str]:
    """Say in words what happens at each step of the film."""
    said = [f"Nothing has been run. The first of {len(runs)} runs has an empty prefix. {HOW}"]
    walked: set[str] = set()
    known: list[str] = []
    for number, one in enumerate(runs, 1):
        rest = one.schedule[len(one.prefix) :]
        way = f"prefix {one.prefix or '(empty)'}, then on by itself: {rest or 'nothing is left'}"
        said.append(f"Run {number} of {len(runs)}: {way}. {_outcome(one)}")
        walked |= {one.schedule[: i + 1] for i in range(len(one.schedule))}
        new = [part for part in _left_open(one) if part not in walked and part not in known]
        known = [part for part in known if part not in walked] + new
        said.append(f"Look back: {_named(new, 'new prefix', 'new prefixes')}. {_to_do(known)}")
    return said


def _named(parts: Sequence[str], one: str, many: str) -> str:
    if not parts:
        return f"no {one}"
    more = f" and {len(parts) - SHOWN} more" if len(parts) > SHOWN else ""
    shown = ", ".join(parts[:SHOWN]) + more
    return f"{len(parts)} {one if len(parts) == 1 else many}: {shown}"


def _to_do(known: Sequence[str]) -> str:
    return f"Open now: {_named(known, 'prefix', 'prefixes')}."


def _left_open(one: Followed) -> list[str]:
    """List the beginnings that turn off from this run, where somebody else could have run."""
    return [
        one.schedule[:i] + other
        for i, choice in enumerate(one.choices)
        for other in choice
        if other != one.schedule[i]
    ]


def _parts(runs: Sequence[Followed]) -> list[str]:
    """List all beginnings that the film shows, in the order of the tree."""
    walked = {one.schedule[: i + 1] for one in runs for i in range(len(one.schedule))}
    return sorted(walked.union(*map(_left_open, runs)))


def _picture(runs: Sequence[Followed]) -> str | None:
    label = f"The tree of {len(runs)} {'run' if len(runs) == 1 else 'runs'}"
    svg = draw_dot(_graph(runs), label)
    if svg is None:
        return None
    last = {part: steps[-1] for part, steps in looks(runs).items()}
    svg = re.sub(
        r'id="part_(\w+)" class="\w+"',
        lambda found: f'data-part="{found[1]}" class="{last[found[1]]}"',
        svg,
    )
    svg = svg.replace('class="pfn-dot"', 'class="pfn-dot pfn-search"')
    return svg.replace(">", f">{STYLE}", 1) + LEGEND


def _graph(runs: Sequence[Followed]) -> graphviz.Digraph:
    graph = graphviz.Digraph(
        graph_attr={
            "bgcolor": "transparent",
            "ranksep": "0.2",
            "nodesep": "0.16",
            "ordering": "out",
        },
        node_attr={"shape": "point", "color": INK, "fontcolor": INK, **_LETTERS},
        edge_attr={"arrowhead": "none", "fontcolor": INK, **_LETTERS},
    )
    graph.node("start")
    ends = {one.schedule: one for one in runs}
    keys = list(runs[0].scenario.keys.values()) if runs else []
    for part in _parts(runs):
        color = task_color(keys, part[-1])
        end = ends.get(part)
        look = {"label": _leaf(end), "shape": "box", "height": "0.3"} if end else {}
        if end and end.bug:
            look |= {"color": BAD, "fontcolor": BAD, "style": "bold,dashed"}
        graph.node(part, id=f"part_{part}", **look)
        graph.edge(part[:-1] or "start", part, label=f" {part[-1]}", color=color, id=f"part_{part}")
    return graph


_LETTERS = {"fontname": "monospace", "fontsize": "11"}


def _leaf(one: Followed) -> str:
    return f"{'✗' if one.bug else '✓'} {one.schedule}"


def _outcome(one: Followed) -> str:
    if one.bug is None:
        return "✓ Nothing went wrong."
    return f"✗ {one.verdict().splitlines()[0]}".replace("`", "")


def _rows(runs: Sequence[Followed]) -> list[str]:
    wide = max(6, *(len(one.prefix) for one in runs))
    long = max(8, *(len(one.schedule) for one in runs))
    rows = [f"{'run':>4}  {'prefix':{wide}}  {'schedule':{long}}  outcome"]
    for number, one in enumerate(runs, 1):
        rows.append(f"{number:>4}  {one.prefix:{wide}}  {one.schedule:{long}}  {_outcome(one)}")
    return rows


def _path_lines(one: Followed) -> list[str]:
    """Write the table of one run: who ran, and who could have."""
    rows = ["step  runs  choices"]
    for i, choice in enumerate(one.choices):
        mark = "  (prefix)" if i < len(one.prefix) else ""
        rows.append(f"{i + 1:>4}  {one.schedule[i]:4}  {choice}{mark}")
    return [*rows, _outcome(one)]
