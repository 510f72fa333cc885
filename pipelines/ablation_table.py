"""The result of an ablation as tables to read."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from raicurate.corpora_manifests.ablation import BASE, MIXES
from raicurate.corpora_manifests.vocabulary import DIMENSIONS

BY_DIMENSION = ("crossed margin", "excess bits per byte")
"""The measures that have a table of mixes by dimensions."""


def tables(result: Mapping[str, Any]) -> str:
    """Returns the tables of a result in Markdown.

    The first line of each is the model of the raw documents itself; the others are changes from
    it, with 95 % intervals. A change whose interval leaves out 0 is bold; the smallest change that
    would have been seen stands in the last column of the tables by dimension. A value without an
    interval comes from too few clusters that differ.
    """
    lines = [
        f"Mixes of {next(iter(result['bytes'].values())):,} bytes: "
        + ", ".join(f"{mix} ({count:,} texts)" for mix, count in result["texts"].items()),
    ]
    for kind in result["manifest"]["models"]:
        rows = [row for row in result["rows"] if row["model"] == kind]
        measured = {row["measure"] for row in rows}
        for measure in (name for name in BY_DIMENSION if name in measured):
            lines += ["", f"**{kind}: {measure}**", "", *_by_dimension(rows, measure)]
        for measure in sorted(measured - set(BY_DIMENSION)):
            lines += ["", f"**{kind}: {measure}**", "", *_by_cell(rows, measure)]
    return "\n".join(lines) + "\n"


def _by_dimension(rows: Iterable[Mapping[str, Any]], measure: str) -> Iterator[str]:
    found = [row for row in rows if row["measure"] == measure]
    cells = [name for name in ("macro", *DIMENSIONS) if any(row["cell"] == name for row in found)]
    yield from _table(found, cells, with_power=True)


def _by_cell(rows: Iterable[Mapping[str, Any]], measure: str) -> Iterator[str]:
    found = [row for row in rows if row["measure"] == measure]
    cells = list(dict.fromkeys(row["cell"] for row in found))
    yield from _table(found, cells, with_power=False)


def _table(found: list[Mapping[str, Any]], cells: list[str], with_power: bool) -> Iterator[str]:
    by_place = {(row["mix"], row["cell"]): row for row in found}
    ends = ["Holm p", "detectable"] if with_power else []
    yield "| " + " | ".join(["mix", *cells, *ends]) + " |"
    yield "|" + "---|" * (1 + len(cells) + len(ends))
    for mix in MIXES:
        places = [by_place.get((mix, cell)) for cell in cells]
        if not any(places):
            continue
        values = [_shown(row, mix == BASE) if row else "" for row in places]
        if with_power:
            values += _power(places[0]) if places[0] and mix != BASE else ["", ""]
        yield "| " + " | ".join([mix, *values]) + " |"


def _shown(row: Mapping[str, Any], is_base: bool) -> str:
    found = row["estimate"]
    sign = "" if is_base else "+"
    text = f"{found['value']:{sign}.3f}"
    if math.isfinite(found["low"]):
        text += f" [{found['low']:{sign}.3f}, {found['high']:{sign}.3f}]"
    clear = found["low"] > 0 or found["high"] < 0
    return f"**{text}**" if clear and not is_base else text


def _power(row: Mapping[str, Any]) -> list[str]:
    adjusted = "" if row["p_adjusted"] is None else f"{row['p_adjusted']:.3f}"
    return [adjusted, f"{row['estimate']['detectable']:.3f}"]
