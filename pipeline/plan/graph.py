"""The graph of steps (networkx): order, and pictures of it as text, Mermaid and SVG."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from pipeline.digest import cache_key
from pipeline.events import Planned, PlannedStep
from pipeline.plan.model import Plan, Step

if TYPE_CHECKING:
    import networkx as nx


_CROWD = 8
"""So many steps that need the same, of which there are as many, are drawn and ordered through one point: the edges of a
thousand tags that wait for a thousand checks would be a million.
"""


def needed(steps: Iterable[Step]) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """What each step needs, and the points that are put where a crowd of steps needs a crowd; they are keys, too."""
    steps = list(steps)
    sharing = Counter(step.needs for step in steps)
    points: dict[tuple[str, ...], str] = {}
    found: dict[str, tuple[str, ...]] = {}
    for step in steps:
        needs = step.needs
        if len(needs) >= _CROWD and sharing[needs] >= _CROWD:
            if needs not in points:
                label = " and ".join(f"every {kind}" for kind in dict.fromkeys(need.split(" ")[0] for need in needs))
                points[needs] = f"{label} ({len(points) + 1})" if label in found else label
                found[points[needs]] = needs
            needs = (points[needs],)
        found[step.id] = needs
    return found, list(points.values())


def graph(steps: Iterable[Step]) -> nx.DiGraph[str]:
    """Steps, and the points between crowds, as a directed graph; an edge leads from what is needed to what needs it."""
    import networkx as nx

    made: nx.DiGraph[str] = nx.DiGraph()
    for id_, needs in needed(steps)[0].items():
        made.add_node(id_)
        made.add_edges_from((need, id_) for need in needs)
    return made


def shape(steps: Sequence[Step]) -> str:
    """Identifies the graph by its nodes and edges alone: an order found once holds while this is the same."""
    return cache_key(needed(steps))


def order(steps: Sequence[Step]) -> list[str]:
    """The ids in topological order, ties broken by the steps' own order; raises ValueError for a cycle."""
    import networkx as nx

    rank = {step.id: number for number, step in enumerate(steps)}
    made = graph(steps)
    try:
        found = nx.lexicographical_topological_sort(made, key=lambda id_: rank.get(id_, -1))
        return [id_ for id_ in found if id_ in rank]
    except nx.NetworkXUnfeasible as error:
        cycle = " → ".join(edge[0] for edge in nx.find_cycle(made))
        raise ValueError(f"the steps form a cycle: {cycle}") from error


def planned(plan: Plan, steps: Sequence[Step]) -> Planned:
    """The graph of those steps of a plan that are to be performed, with their verdicts, for reporters."""
    nodes, _ = needed(steps)
    chosen = {step.id: step for step in steps}
    made = []
    for id_, needs in nodes.items():
        edges = tuple(need for need in needs if need in nodes)
        if step := chosen.get(id_):
            verdict = plan.verdicts[id_]
            made.append(PlannedStep(id_, step.kind, step.name, step.title, edges, verdict.hit, verdict.why))
        else:
            made.append(PlannedStep(id_, "", id_, "", edges))
    return Planned(made)


def text(plan: Plan) -> str:
    """One line for each step, with what it needs."""
    width = max((len(step.id) for step in plan.steps), default=0)
    needs, _ = needed(plan.steps)
    return "\n".join(
        f"{step.id:<{width}}  {_state(plan, step.id):<4}  "
        f"{'← ' + ', '.join(needs[step.id]) if step.needs else ''}".rstrip()
        for step in plan.steps
    )


def mermaid(plan: Plan) -> str:
    """A Mermaid flowchart."""
    needs, points = needed(plan.steps)
    names = {id_: f"s{number}" for number, id_ in enumerate([*(step.id for step in plan.steps), *points])}
    lines = ["flowchart LR"]
    lines += [f'  {names[step.id]}["{_escaped(step.id)}"]:::{_state(plan, step.id)}' for step in plan.steps]
    lines += [f'  {names[point]}(["{_escaped(point)}"])' for point in points]
    lines += [f"  {names[need]} --> {names[id_]}" for id_ in names for need in needs[id_]]
    return "\n".join(
        [*lines, "  classDef hit fill:#e6f4ea,stroke:#34a853", "  classDef miss fill:#fef7e0,stroke:#f9ab00"]
    )


def _escaped(label: str) -> str:
    return label.replace('"', "#quot;")


def _state(plan: Plan, id_: str) -> str:
    return "hit" if plan.verdicts[id_].hit else "miss"


_BOX, _GAP_X, _GAP_Y, _HEIGHT, _MARGIN = 190, 60, 18, 40, 20
_COLOURS = {"hit": ("#e6f4ea", "#34a853"), "miss": ("#fef7e0", "#f9ab00")}


def svg(plan: Plan) -> str:
    """A drawing: a column for each generation, a box for each step, coloured by hit or miss."""
    import networkx as nx

    needs, points = needed(plan.steps)
    rank = {id_: number for number, id_ in enumerate([*(step.id for step in plan.steps), *points])}
    columns = [sorted(column, key=rank.__getitem__) for column in nx.topological_generations(graph(plan.steps))]
    box = _box_width(plan)
    spots = {
        id_: (_MARGIN + x * (box + _GAP_X), _MARGIN + y * (_HEIGHT + _GAP_Y))
        for x, column in enumerate(columns)
        for y, id_ in enumerate(column)
    }
    width = 2 * _MARGIN + len(columns) * (box + _GAP_X) - _GAP_X
    height = 2 * _MARGIN + max(map(len, columns), default=1) * (_HEIGHT + _GAP_Y) - _GAP_Y
    body = [_edge(spots[need], spots[id_], box) for id_ in rank for need in needs[id_]]
    body += [_node(plan, step, spots[step.id], box) for step in plan.steps]
    body += [_point(point, spots[point], box) for point in points]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    return "\n".join([f'{head} font-family="sans-serif" font-size="13">', *body, "</svg>"])


def _box_width(plan: Plan) -> int:
    return max(_BOX, max((len(step.id) for step in plan.steps), default=0) * 8 + 20)


def _edge(start: tuple[int, int], end: tuple[int, int], box: int) -> str:
    x1, y1 = start[0] + box, start[1] + _HEIGHT // 2
    x2, y2 = end[0], end[1] + _HEIGHT // 2
    bend = (x1 + x2) // 2
    return f'<path d="M{x1},{y1} C{bend},{y1} {bend},{y2} {x2},{y2}" fill="none" stroke="#9aa0a6"/>'


def _node(plan: Plan, step: Step, spot: tuple[int, int], box: int) -> str:
    from html import escape

    x, y = spot
    fill, stroke = _COLOURS[_state(plan, step.id)]
    verdict: Mapping[bool, str] = {True: "hit", False: plan.verdicts[step.id].why}
    return (
        f"<g><title>{escape(verdict[plan.verdicts[step.id].hit])}</title>"
        f'<rect x="{x}" y="{y}" width="{box}" height="{_HEIGHT}" rx="6" fill="{fill}" stroke="{stroke}"/>'
        f'<text x="{x + box // 2}" y="{y + 25}" text-anchor="middle">{escape(step.id)}</text></g>'
    )


def _point(name: str, spot: tuple[int, int], box: int) -> str:
    from html import escape

    x, y = spot
    return (
        f'<g><line x1="{x}" y1="{y + _HEIGHT // 2}" x2="{x + box}" y2="{y + _HEIGHT // 2}" stroke="#9aa0a6"/>'
        f'<text x="{x + box // 2}" y="{y + 14}" text-anchor="middle">{escape(name)}</text></g>'
    )
