"""A trace in one table: what the chains say of every entry, and whether to believe them.

    mean +- mcse_mean   sd +- mcse_sd   q05   median   q95   ess_bulk   ess_tail   rhat

The rule of Vehtari et al. (2021): rhat at most 1.01, both ESS at least 100 per chain of a handful of long ones (400 in
all when there are many). `to_arviz` hands the trace to ArviZ for its plots.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor

from fairway.core.arrays import as_tensor
from fairway.samplers.diagnostics.ess import ess_bulk, ess_tail
from fairway.samplers.diagnostics.mcse import mcse_mean, mcse_sd
from fairway.samplers.diagnostics.rhat import rhat
from fairway.samplers.diagnostics.series import Series, blocks

SHOWN = 40  # rows of the printed table


@dataclass(frozen=True)
class Summary:
    """One row per entry.

    Args:
        names: of the entries.
        columns: name -> (entries,), float64.
        draws, chains: the size of the trace.
    """

    names: tuple[str, ...]
    columns: dict[str, Tensor]
    draws: int
    chains: int

    def __getitem__(self, column: str) -> Tensor:
        return self.columns[column]

    def records(self) -> list[dict[str, Any]]:
        """One dict per entry: {"name": ..., "mean": ..., ...}."""
        table = {key: column.tolist() for key, column in self.columns.items()}
        return [{"name": n, **{key: table[key][i] for key in table}} for i, n in enumerate(self.names)]

    def worst(self) -> dict[str, tuple[str, float]]:
        """column -> (entry, value): the largest rhat, the smallest ESS; NaN counts as worst."""
        found = {}
        for column, sign in {"rhat": 1.0, "ess_bulk": -1.0, "ess_tail": -1.0}.items():
            place = int(torch.nan_to_num(sign * self.columns[column], nan=torch.inf).argmax())
            found[column] = (self.names[place], float(self.columns[column][place]))
        return found

    def __str__(self) -> str:
        header = ["", *self.columns]
        rows = [[r.pop("name"), *(_shown(key, value) for key, value in r.items())] for r in self.records()[:SHOWN]]
        widths = [max(len(row[j]) for row in [header, *rows]) for j in range(len(header))]
        lines = ["  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in [header, *rows]]
        if len(self.names) > SHOWN:
            lines.append(f"... and {len(self.names) - SHOWN} more")
        worst = ", ".join(f"{key} {_shown(key, value)} at {name}" for key, (name, value) in self.worst().items())
        return "\n".join([*lines, f"{self.chains} chains of {self.draws} draws; worst: {worst}"])


def _shown(column: str, value: float) -> str:
    return f"{value:.3f}" if column == "rhat" else f"{value:.0f}" if column.startswith("ess") else f"{value:.4g}"


def summary(draws: Any, names: Sequence[str] | None = None) -> Summary:
    """What the chains say of every entry.

    Args:
        draws: (draws, chains, *U), as `Draws.trace`; the table is in its unit.
        names: of the entries in row-major order; default u[0], u[1], ... or u[0,0], ...

    Raises:
        ValueError: not a trace, under 4 draws, or not one name per entry.

    >>> import torch
    >>> table = summary(torch.randn(1000, 4, 2, generator=torch.Generator().manual_seed(0)), names=["a", "b"])
    >>> list(table.columns)
    ['mean', 'mcse_mean', 'sd', 'mcse_sd', 'q05', 'median', 'q95', 'ess_bulk', 'ess_tail', 'rhat']
    >>> [record["name"] for record in table.records()]
    ['a', 'b']
    """
    draws = as_tensor(draws, "draws")
    parts = [_columns(series) for series in blocks(draws)]
    columns = {key: torch.cat([part[key] for part in parts]) for key in parts[0]}
    return Summary(_names(draws.shape[2:], names), columns, draws.shape[0], draws.shape[1])


def _columns(series: Series) -> dict[str, Tensor]:
    flat = series.values.flatten(1)
    return {
        "mean": flat.mean(1),
        "mcse_mean": mcse_mean(series),
        "sd": flat.std(1),
        "mcse_sd": mcse_sd(series),
        "q05": series.quantile(0.05),
        "median": series.median,
        "q95": series.quantile(0.95),
        "ess_bulk": ess_bulk(series),
        "ess_tail": ess_tail(series),
        "rhat": rhat(series),
    }


def _names(shape: Sequence[int], names: Sequence[str] | None) -> tuple[str, ...]:
    if names is None:
        places = product(*(range(n) for n in shape))
        return tuple(f"u[{','.join(map(str, place))}]" if shape else "u" for place in places)
    entries = torch.Size(shape).numel()
    if len(names) != entries:
        raise ValueError(
            f"expected one name for each of the {entries} entries of shape {tuple(shape)}, got {len(names)}"
        )
    return tuple(names)


def to_arviz(draws: Any, names: Sequence[str] | None = None, statistics: Mapping[str, Any] | None = None) -> Any:
    """The trace as ArviZ data, chains first as it wants them.

    Args:
        draws: (draws, chains, *U).
        names: one variable per entry under these names; default a single variable "u" of shape U.
        statistics: name -> (draws, chains), such as "acceptance_rate", "diverging", "energy".

    Raises:
        ImportError: without arviz.
    """
    draws = as_tensor(draws, "draws").detach()
    if draws.ndim < 2:
        raise ValueError(f"expected draws of shape (draws, chains, *U), got {tuple(draws.shape)}")
    posterior = {"u": draws}
    if names is not None:
        entries = draws.reshape(*draws.shape[:2], -1).unbind(2)
        posterior = dict(zip(_names(draws.shape[2:], names), entries, strict=True))
    groups = {"posterior": posterior, **({"sample_stats": dict(statistics)} if statistics else {})}
    arrays: dict[str, Any] = {
        group: {key: as_tensor(value, key).detach().cpu().transpose(0, 1).numpy() for key, value in members.items()}
        for group, members in groups.items()
    }
    with warnings.catch_warnings():
        # ArviZ announces its next version on import, and takes more chains than draws for a mistake.
        warnings.simplefilter("ignore")
        try:
            import arviz
        except ImportError as error:
            raise ImportError("to_arviz needs arviz: pip install 'fairway[metrics]'") from error
        # One dict of groups since version 1, keywords before.
        old = int(arviz.__version__.split(".")[0]) < 1
        return arviz.from_dict(**arrays) if old else arviz.from_dict(arrays)
