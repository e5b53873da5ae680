"""The graph of steps (networkx): order, and pictures of it as text, Mermaid and SVG."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from pipeline.digest import cache_key
from pipeline.plan.model import Plan, Step

if TYPE_CHECKING:
    import networkx as nx


def graph(steps: Iterable[Step]) -> nx.DiGraph[str]:
    """Steps as a directed graph; an edge leads from what is needed to what needs it."""
    import networkx as nx

    made: nx.DiGraph[str] = nx.DiGraph()
    for step in steps:
        made.add_node(step.id, kind=step.kind)
        made.add_edges_from((need, step.id) for need in step.needs)
    return made


def shape(steps: Sequence[Step]) -> str:
    """Identifies the graph by its nodes and edges alone: an order found once holds while this is the same."""
    return cache_key([[step.id, step.needs] for step in steps])


def order(steps: Sequence[Step]) -> list[str]:
    """The ids in topological order, ties broken by the steps' own order; raises ValueError for a cycle."""
    import networkx as nx

    rank = {step.id: number for number, step in enumerate(steps)}
    try:
        return list(nx.lexicographical_topological_sort(graph(steps), key=lambda id_: rank[id_]))
    except nx.NetworkXUnfeasible as error:
        cycle = " → ".join(edge[0] for edge in nx.find_cycle(graph(steps)))
        raise ValueError(f"the steps form a cycle: {cycle}") from error


def text(plan: Plan) -> str:
    """One line for each step, with what it needs."""
    width = max((len(step.id) for step in plan.steps), default=0)
    return "\n".join(
        f"{step.id:<{width}}  {_state(plan, step.id):<4}  {'← ' + ', '.join(step.needs) if step.needs else ''}".rstrip()
        for step in plan.steps
    )


def mermaid(plan: Plan) -> str:
    """A Mermaid flowchart."""
    names = {step.id: f"s{number}" for number, step in enumerate(plan.steps)}
    lines = ["flowchart LR"]
    lines += [f'  {names[step.id]}["{_escaped(step.id)}"]:::{_state(plan, step.id)}' for step in plan.steps]
    lines += [f"  {names[need]} --> {names[step.id]}" for step in plan.steps for need in step.needs]
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

    columns = [
        sorted(column, key=[s.id for s in plan.steps].index) for column in nx.topological_generations(graph(plan.steps))
    ]
    box = _box_width(plan)
    spots = {
        id_: (_MARGIN + x * (box + _GAP_X), _MARGIN + y * (_HEIGHT + _GAP_Y))
        for x, column in enumerate(columns)
        for y, id_ in enumerate(column)
    }
    width = 2 * _MARGIN + len(columns) * (box + _GAP_X) - _GAP_X
    height = 2 * _MARGIN + max(map(len, columns), default=1) * (_HEIGHT + _GAP_Y) - _GAP_Y
    body = [_edge(spots[need], spots[step.id], box) for step in plan.steps for need in step.needs]
    body += [_node(plan, step, spots[step.id], box) for step in plan.steps]
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
    x, y = spot
    fill, stroke = _COLOURS[_state(plan, step.id)]
    verdict: Mapping[bool, str] = {True: "hit", False: plan.verdicts[step.id].why}
    return (
        f"<g><title>{escape(verdict[plan.verdicts[step.id].hit])}</title>"
        f'<rect x="{x}" y="{y}" width="{box}" height="{_HEIGHT}" rx="6" fill="{fill}" stroke="{stroke}"/>'
        f'<text x="{x + box // 2}" y="{y + 25}" text-anchor="middle">{escape(step.id)}</text></g>'
    )
