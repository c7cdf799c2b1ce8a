"""A number about a model, with everything needed to read it.

    relation   equal: log p(x); lower: a bound from below; upper: from above; none: no density
    method     exact: closed form; numerical: a discretised solver; estimate: Monte Carlo; none
    bits/dim   -log2 p(x) / dims, only where the event has levels (probabilities, not densities)

Numbers are never ranked across relations of unknown tightness, nor across protocols (how the data were binarised or
dequantised); `comparable` says so.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor

from fairway.core.numerics import LOG_2

Relation = Literal["equal", "lower", "upper", "none"]
Method = Literal["exact", "numerical", "estimate", "none"]


@dataclass(frozen=True)
class Likelihood:
    """Held-out log-likelihood, one value per row.

    Args:
        value: (B,) nats in data units.
        relation: how `value` stands to log p(x).
        method: how it was computed.
        mc_error: (B,) standard error of `value` from Monte Carlo (0 where exact).
        dims: (B,) entries per row.
        protocol: how the data were prepared; numbers under different protocols are never ranked.
        levels: number of levels of the event, None where it has no bits.
        terms: named parts of a bound, each (B,).
    """

    value: Tensor
    relation: Relation
    method: Method
    mc_error: Tensor
    dims: Tensor
    protocol: str = ""
    levels: int | None = None
    terms: dict[str, Tensor] = field(default_factory=dict)

    @property
    def nats(self) -> float:
        """Mean over rows, nats."""
        return float(self.value.double().mean())

    @property
    def standard_error(self) -> float:
        """Standard error of `nats` over rows (held-out sampling error; contains the Monte Carlo error)."""
        return float(self.value.double().std() / len(self.value) ** 0.5) if len(self.value) > 1 else float("nan")

    @property
    def bits_per_dim(self) -> float | None:
        """-mean(log2 p) / dims, or None where the event has no levels."""
        return None if self.levels is None else float((-self.value.double() / self.dims.double()).mean() / LOG_2)

    @property
    def bits_per_dim_error(self) -> float | None:
        """Standard error of `bits_per_dim`."""
        return None if self.levels is None else self.standard_error / float(self.dims.double().mean()) / LOG_2

    def comparable(self, other: "Likelihood") -> bool:
        """Whether the two numbers may stand in one ranking."""
        return self.protocol == other.protocol and "none" not in (self.relation, other.relation)

    def to_dict(self) -> dict[str, Any]:
        """Summary for JSON: means, errors, relation, method, unit."""
        return {
            "nats": self.nats,
            "standard_error": self.standard_error,
            "bits_per_dim": self.bits_per_dim,
            "bits_per_dim_error": self.bits_per_dim_error,
            "mc_error": float(self.mc_error.double().mean()),
            "relation": self.relation,
            "method": self.method,
            "protocol": self.protocol,
            "rows": len(self.value),
            "terms": {key: float(value.double().mean()) for key, value in self.terms.items()},
        }
