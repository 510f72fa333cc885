"""Families of checkpoints in the results: bands over whole curves, and noise between members."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from raicurate.probes import comparisons
from raicurate.probes.backend import Floats
from raicurate.probes.checkpoints import checkpoint_noise, exceeds_noise, simultaneous_bands
from raicurate.probes.measuring import MARGIN, Measured, finite
from raicurate.probes.statistics import Statistic, ratio


def add_bands(levels: Mapping[str, Any], models: Sequence[Measured]) -> None:
    """Adds `band` to the levels of each family that stand in curves: it holds all points at once.

    Args:
        levels: Levels of each model by label; changed in place.
        models: The models, checkpoints in order.
    """
    for family, members in _families(models).items():
        own = [levels[model.reference.label] for model in members]
        crossed = [_crossed_sums(model) for model in members]
        _add(
            [level.get("crossed", {}).get("macro") for level in own],
            [list(sums.values()) for sums in crossed],
            comparisons.mean_of(ratio),
            f"{family} crossed",
        )
        for name in crossed[0]:
            cells = [_dimension(level, name) for level in own]
            strata = [[sums[name]] if name in sums else [] for sums in crossed]
            _add(cells, strata, ratio, f"{family} crossed {name}")
        _add(
            [level.get("documents", {}).get("macro") for level in own],
            [
                list(comparisons.document_sums(model.answers.documents).values())
                for model in members
            ],
            comparisons.mean_of(comparisons.bits),
            f"{family} documents",
        )


def add_noise(
    compared: Sequence[Mapping[str, Any]], models: Sequence[Measured], reference: str
) -> None:
    """Adds the noise between checkpoints to the primary changes of each family's members.

    All are changes from one reference, so that they differ from one checkpoint to the next as the
    measure does. `sigma_ckpt` is the noise of one checkpoint, `exceeds_noise` whether the change is
    beyond it; both null where a family has too few checkpoints.

    Args:
        compared: All comparisons with the reference; their primaries are changed in place.
        models: The models, checkpoints in order.
        reference: Label of the reference.
    """
    primaries = {
        comparison["b"]: {one["name"]: one for one in comparison["primaries"]}
        for comparison in compared
    }
    families = _families(models)
    for model in models:
        members = families.get(model.reference.family or "", [])
        for name, primary in primaries.get(model.reference.label, {}).items():
            series = _series(members, primaries, reference, name)
            noise = series and checkpoint_noise(*series)
            primary["sigma_ckpt"] = noise.sigma if noise else None
            primary["exceeds_noise"] = exceeds_noise(
                primary["estimate"]["value"], noise if noise else None
            )


def _series(
    members: Sequence[Measured],
    primaries: Mapping[str, Mapping[str, Any]],
    reference: str,
    name: str,
) -> tuple[list[float], list[float] | None] | None:
    """Returns the changes of a family in order and their places; nothing where one is missing."""
    values = []
    for model in members:
        label = model.reference.label
        if label == reference:
            values.append(0.0)
        elif name in primaries.get(label, {}):
            values.append(primaries[label][name]["estimate"]["value"])
        else:
            return None
    return values, _places(members)


def _places(members: Sequence[Measured]) -> list[float] | None:
    for name in ("tokens", "step"):
        places = [getattr(model.reference, name) for model in members]
        if None not in places and all(one < other for one, other in pairwise(places)):
            return [float(place) for place in places]
    return None


def _families(models: Sequence[Measured]) -> dict[str, list[Measured]]:
    families: dict[str, list[Measured]] = {}
    for model in models:
        if model.reference.family is not None:
            families.setdefault(model.reference.family, []).append(model)
    return {name: members for name, members in families.items() if len(members) > 1}


def _crossed_sums(model: Measured) -> dict[str, Floats]:
    table = model.crossed()
    return {} if table is None else comparisons.dimension_sums(table, MARGIN)


def _dimension(level: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    cells = level.get("crossed", {}).get("dimensions", ())
    return next((cell["estimate"] for cell in cells if cell["dimension"] == name), None)


def _add(
    estimates: Sequence[dict[str, Any] | None],
    points: Sequence[Sequence[Floats]],
    statistic: Statistic | Callable[..., Floats],
    seed: str,
) -> None:
    shapes = {tuple(sums.shape for sums in strata) for strata in points}
    # A band pairs clusters over checkpoints, so all must have been asked the same.
    if len(shapes) > 1 or not points[0] or None in estimates:
        return
    for found, ends in zip(
        estimates, simultaneous_bands(points, statistic, seed=seed), strict=True
    ):
        if found is not None:
            found["band"] = [finite(end) for end in ends]
