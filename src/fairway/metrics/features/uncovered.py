"""How much of held-out data a model's draws leave uncovered, for training to watch: lower is better.

    uncovered = 1 - coverage(as many draws, x)          coverage as in `features.neighbours`, on the rows themselves

In standard deviations of x. Of a ball around each row, out to its fifth neighbour, the law of the data leaves 1 in 2^5
empty, whatever it is; a generator on one of two modes leaves half. Forgotten modes show here and in little else that is
cheap; a blur, or one mode that is too heavy, does not.
"""

from typing import Any

from fairway.core.arrays import as_tensor
from fairway.metrics.divergence.rows import draw_like, relative_to
from fairway.metrics.features.neighbours import density_coverage

NEIGHBOURS = 5


def uncovered(model: Any, x: Any, context: Any = None, *, generator: int) -> float:
    """Share of rows x (n, *E) with no draw of n as near as their fifth neighbour (the last one, of five rows or fewer).

    With a context (n, *C), each row's own context gives one draw.

    Raises:
        ValueError: fewer than two rows.
    """
    rows, unit = as_tensor(x).double(), relative_to(x)
    draws = draw_like(model, len(rows), context, generator).double()
    found = density_coverage(draws / unit, rows.cpu() / unit, k=max(1, min(NEIGHBOURS, len(rows) - 1)))
    return 1 - found["coverage"].value
