"""A multilayer perceptron: affine maps with a smooth nonlinearity between them.

    h_0 = x,  h_{l+1} = act(W_l h_l + b_l),  y = W_L h_L + b_L

With `residual=True` equal-width layers add their input, h + act(W h + b), which keeps deep stacks trainable.
`columns` is the same network with the batch in the last axis, (inputs, B) -> (outputs, B): what is said of one output
then lies together in memory, as entry by entry functions of many outputs want it.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from fairway.core.config import Configurable
from fairway.networks.dropout import Dropout

ACTIVATIONS = {
    "silu": nn.SiLU,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
}


def activation(name: str) -> nn.Module:
    """An activation module by name.

    Raises:
        ValueError: unknown name.
    """
    if name not in ACTIVATIONS:
        raise ValueError(f"expected an activation among {', '.join(ACTIVATIONS)}, got {name!r}")
    module: nn.Module = nn.ReLU(inplace=True) if name == "relu" else ACTIVATIONS[name]()  # its slope needs no input
    return module


def columns(linear: nn.Linear, x: Tensor) -> Tensor:
    """W x + b for columns x: (inputs, B) -> (outputs, B)."""
    weight, bias = linear.weight, linear.bias
    return weight @ x if bias is None else torch.addmm(bias.unsqueeze(1), weight, x)


class Layer(nn.Module):
    """act(W h + b), with dropout, plus h where the widths agree and a residual is wanted."""

    def __init__(self, inputs: int, outputs: int, act: str, residual: bool, dropout: float) -> None:
        super().__init__()
        self.linear, self.act = nn.Linear(inputs, outputs), activation(act)
        self.residual = residual and inputs == outputs
        self.dropout = Dropout(dropout) if dropout else None

    def forward(self, h: Tensor) -> Tensor:
        out: Tensor = self.act(self.linear(h))
        out = out if self.dropout is None else self.dropout(out)
        return h + out if self.residual else out

    def columns(self, h: Tensor) -> Tensor:
        out: Tensor = self.act(columns(self.linear, h))
        out = out if self.dropout is None else self.dropout(out.T).T  # it knows rows by their place
        return h + out if self.residual else out


class MLP(Configurable, nn.Module):
    """(B, inputs) -> (B, outputs).

    Args:
        inputs, outputs: widths of both ends.
        hidden: widths between them.
        act: name of the activation.
        residual: add a layer's input where widths agree.
        dropout: share of hidden units dropped in training.

    >>> import torch
    >>> MLP(3, 2)(torch.zeros(5, 3)).shape
    torch.Size([5, 2])
    """

    role: ClassVar[str] = "network"

    def __init__(
        self,
        inputs: int,
        outputs: int,
        hidden: Sequence[int] = (128, 128),
        act: str = "silu",
        residual: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        widths = [inputs, *hidden]
        layers = [Layer(a, b, act, residual, dropout) for a, b in pairwise(widths)]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], outputs))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out

    def columns(self, x: Tensor) -> Tensor:
        """(inputs, B) -> (outputs, B), in the precision of the inputs, whatever it is inside."""
        *layers, last = self.layers
        h = x
        for layer in layers:
            h = layer.columns(h)  # type: ignore[operator]
        return columns(last, h).to(x.dtype)  # type: ignore[arg-type]

    @property
    def last(self) -> nn.Linear:
        """The output layer (to start it at zero, say)."""
        layer: nn.Linear = self.layers[-1]  # type: ignore[assignment]
        return layer
