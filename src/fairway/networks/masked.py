"""Masked networks: one pass computes functions f_i that each see only the variables before i in an ordering.

Give every unit a degree, the rank of the last variable it may depend on (Germain et al. 2015, section 4):

    variable i        degree rank(i), 0, ..., D - 1; all its input features share it
    hidden unit k     degree m(k) in 0, ..., D - 2 (and -1, the context alone, where there is a context)
    input, hidden     connected where rank(i) <= m(k);    hidden, hidden  where m(k) <= m(k')
    hidden, output    connected where m(k) < rank(i)      (strictly: output i never sees variable i)

Degrees are spread evenly and *sorted*, so that the units of one degree are one slice. One variable at a time then
costs no more than one pass in all: step t fills in the slice of degree t - 1 and reads the outputs of rank t, and
every weight is used once (`init_state`, `step`, see `masked_steps`). The same steps sample a MADE and invert a masked
autoregressive flow. The context joins every layer through weights of its own,
unmasked. Shapes: x (B, D) or (B, D, features), context (B, C), outputs (B, D, outputs).
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairway.core.config import Configurable
from fairway.networks.dropout import Dropout
from fairway.networks.masked_steps import MaskedSteps
from fairway.networks.mlp import activation
from fairway.networks.staircase import product, staircases

FEW_OUTPUTS = 4


class MaskedLinear(nn.Linear):
    """y = (W * mask) x + b, plus V c for a context c.

    Args:
        mask: (outputs, inputs), true where a connection exists.
        context: width of the context, 0 for none.
    """

    mask: Tensor

    def __init__(self, mask: Tensor, context: int = 0) -> None:
        outputs, inputs = mask.shape
        super().__init__(inputs, outputs)
        self.register_buffer("mask", mask.to(self.weight.dtype), persistent=False)
        self._stairs = staircases(mask)
        self.context = nn.Linear(context, outputs, bias=False) if context else None
        with torch.no_grad():  # a unit's scale follows the inputs that it has, not those that are masked
            self.weight.mul_((inputs / mask.sum(1).clamp(min=1)).sqrt().unsqueeze(1).to(self.weight.dtype))

    @torch.no_grad()
    def zero(self) -> None:
        """Start from nothing: neither inputs nor context matter."""
        for parameter in self.parameters():
            parameter.zero_()

    @property
    def masked_weight(self) -> Tensor:
        """(outputs, inputs), zero where there is no connection."""
        return self.weight * self.mask

    def offset(self, context: Tensor | None) -> Tensor:
        """b + V c: (outputs,) without a context, (B, outputs) with one."""
        return self.bias if self.context is None or context is None else self.bias + self.context(context)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        if self.context is None or context is None:
            return F.linear(x, self.masked_weight, self.bias)
        return F.linear(x, self.masked_weight) + self.offset(context)

    def columns(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """The same for columns x (inputs, B) -> (outputs, B), context (B, C)."""
        return product(x, self.masked_weight, self.offset_columns(context), self._stairs)

    def offset_columns(self, context: Tensor | None) -> Tensor:
        """b + V c: (outputs, 1) without a context, (outputs, B) with one."""
        if self.context is None or context is None:
            return self.bias.unsqueeze(1)
        return torch.addmm(self.bias.unsqueeze(1), self.context.weight, context.T)


class MaskedMLP(Configurable, nn.Module):
    """(B, variables[, features]) -> (B, variables, outputs), where output i sees variables of lower rank only.

    Args:
        variables: how many, D.
        outputs: numbers to predict per variable.
        hidden: widths of the hidden layers.
        features: input numbers per variable (a one-hot code, say).
        context: width of the context, which every output sees; 0 for none.
        order: the variables from first to last, a permutation of 0, ..., D - 1; None for 0, 1, ....
        act: name of the activation.
        residual: add a layer's input where widths agree.
        dropout: share of hidden units dropped in training.
        direct: masked linear connections from the inputs to the outputs, too.

    Raises:
        ValueError: `order` is no permutation.

    >>> import torch
    >>> MaskedMLP(3, outputs=2)(torch.zeros(5, 3)).shape
    torch.Size([5, 3, 2])
    """

    role: ClassVar[str] = "network"
    rank: Tensor
    inward: Tensor
    outward: Tensor

    def __init__(
        self,
        variables: int,
        outputs: int = 1,
        hidden: Sequence[int] = (128, 128),
        features: int = 1,
        context: int = 0,
        order: Sequence[int] | None = None,
        act: str = "silu",
        residual: bool = False,
        dropout: float = 0.0,
        direct: bool = False,
    ) -> None:
        super().__init__()
        self.variables, self.outputs, self.features, self.residual = variables, outputs, features, residual
        self.order = list(range(variables)) if order is None else [int(i) for i in order]
        if sorted(self.order) != list(range(variables)):
            raise ValueError(f"expected order as a permutation of 0, ..., {variables - 1}, got {self.order}")
        entries = torch.tensor(self.order).unsqueeze(1)
        self.register_buffer("rank", entries.flatten().argsort(), persistent=False)
        for name, per in (("inward", features), ("outward", outputs)):  # inputs and outputs by rank
            self.register_buffer(name, (entries * per + torch.arange(per)).flatten(), persistent=False)
        self.degrees = [_spread(width, variables, bool(context)) for width in hidden]
        ranks = torch.arange(-1, variables)
        self._starts = [torch.searchsorted(degrees, ranks).tolist() for degrees in self.degrees]  # of degree r - 1
        self.layers = nn.ModuleList(MaskedLinear(mask, context) for mask in self._masks())
        inward = self.rank.repeat_interleave(features)
        self.direct = MaskedLinear(inward < self.rank.repeat_interleave(outputs).unsqueeze(1), 0) if direct else None
        self.act, self.dropout = activation(act), Dropout(dropout)

    def _masks(self) -> list[Tensor]:
        """(to, from) booleans of each layer."""
        degrees = [self.rank.repeat_interleave(self.features), *self.degrees]
        masks = [after.unsqueeze(1) >= before for before, after in pairwise(degrees)]
        last = self.rank.repeat_interleave(self.outputs).unsqueeze(1)
        return [*masks, last > degrees[-1]]

    @property
    def last(self) -> MaskedLinear:
        """The output layer, rows by variable (to start it at zero, say)."""
        layer: MaskedLinear = self.layers[-1]  # type: ignore[assignment]
        return layer

    # -- in parallel --------------------------------------------------------------------------------------------
    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        inputs = h = x.reshape(len(x), self.variables * self.features)
        for layer in self.layers[:-1]:
            out = self.dropout(self.act(layer(h, context)))
            h = h + out if self._adds(h.shape[1], out.shape[1], h is inputs) else out
        y = self.last(h, context)
        y = y if self.direct is None else y + self.direct(inputs)
        return y.reshape(len(x), self.variables, self.outputs)

    def columns(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """The same with the batch last: x (variables * features, B) -> (outputs, variables, B); context (B, C)."""
        h = x
        for layer in self.layers[:-1]:
            out = self.act(layer.columns(h, context))  # type: ignore[operator]
            out = self.dropout(out.T).T if self.dropout.p else out  # it knows rows by their place
            h = h + out if self.residual and self._adds(len(h), len(out), h is x) else out
        return self._heads(h, x, context).to(x.dtype)  # whatever the precision inside

    def _heads(self, h: Tensor, x: Tensor, context: Tensor | None) -> Tensor:
        """(outputs, variables, B) of the last hidden layer.

        A few outputs are computed by variable, in which order their weights are a staircase; many by output, or
        whoever takes one output after the other would pay for it in the cache (compiled, all are taken together).
        """
        if self.outputs <= FEW_OUTPUTS or torch.compiler.is_compiling():
            y = self.last.columns(h, context)
            y = y if self.direct is None else y + self.direct.columns(x)
            return y.unflatten(0, (self.variables, self.outputs)).transpose(0, 1)
        y = torch.addmm(self._turned(self.last.offset_columns(context)), self._turned(self.last.masked_weight), h)
        y = y if self.direct is None else y + self._turned(self.direct.columns(x))
        return y.unflatten(0, (self.outputs, self.variables))

    def _turned(self, rows: Tensor) -> Tensor:
        """Rows by variable -> rows by output: cheaper to turn in weights than in what they give for a batch."""
        return rows.unflatten(0, (self.variables, self.outputs)).transpose(0, 1).flatten(0, 1)

    def _adds(self, before: int, after: int, first: bool) -> bool:
        return self.residual and not first and before == after  # equal widths have equal degrees

    # -- one variable at a time ---------------------------------------------------------------------------------
    def by_rank(self) -> tuple[list[Tensor], tuple[Tensor, Tensor] | None]:
        """Masked weights of the layers, and weight and bias (outputs, 1) of `direct`; inputs and outputs by rank."""
        layers: list[MaskedLinear] = list(self.layers)  # type: ignore[arg-type]
        weights = [layer.masked_weight for layer in layers]
        weights[0] = weights[0][:, self.inward]
        weights[-1] = weights[-1][self.outward]
        if self.direct is None:
            return weights, None
        weight, bias = self.direct.masked_weight, self.direct.bias
        return weights, (weight[self.outward][:, self.inward], bias[self.outward].unsqueeze(1))

    def init_state(self, batch: int, context: Tensor | None = None) -> MaskedSteps:
        """Before the first variable; context (B, C). No gradient flows through steps."""
        return MaskedSteps(self, batch, context)

    @torch.no_grad()
    def step(self, state: MaskedSteps, features: Tensor | None) -> Tensor:
        """Outputs (B, outputs) of the next variable in the ordering.

        Args:
            state: advanced in place.
            features: (B, features) of the variable before it; None at the first.
        """
        return state.step(None if features is None else features.T).T


def _spread(width: int, variables: int, context: bool) -> Tensor:
    """Degrees of a hidden layer, sorted and as even as the width allows."""
    first = -1 if context else 0
    count = max(variables - 1 - first, 1)
    return first + torch.arange(width) * count // width
