"""An E and an M step of Gaussian mixtures in two matrix products.

With whitened rows y = F^-1 (u - c), where c and F F' are the mean and the covariance of all rows, and the features

    phi(y) = [y_i y_j for i <= j, y_1, ..., y_D, 1]

every component's log joint density is linear in phi, and the sums of the M step are those of phi:

    log w_k + log N(u; m_k, S_k) = theta_k . phi(y)         (n, F) x (F, K)
    N_k, sum_n r_nk y_n, sum_n r_nk y_n y_n' = sum_n r_nk phi(y_n)   (K, n) x (n, F)

Diagonal covariances need y_i^2 alone. Rows go by in chunks whose features stay in the cache; c is taken away before
anything is multiplied, and sums over chunks are float64. Squares of y cancel where a component is narrow and far from
c: `sharpness` is by how much, and where less than half of the digits would be left EM goes component by component.
"""

from typing import Any

import torch
from torch import Tensor

from fairway.core.numerics import LOG_2PI
from fairway.objectives.em_sums import Moments, Sums, chunks, diagonal, responsibilities, total_weight

LEAST = 512  # rows of a chunk: products of fewer are slow
WIDEST, RATIO = 64, 3  # dimensions, and dimensions per component, up to which features of a full covariance pay


def whitening(x: Tensor, weight: Tensor, covariance: str) -> tuple[Tensor, Tensor]:
    """Mean (D,) and factor F of weighted rows (n, D), (D, D) lower triangular, or (D,) for diagonal forms.

    Both are float64 tensors; c and F^-1 are numbers of the precision of x, so that rounding them costs nothing. The
    root of that precision is added to the correlations: a column that repeats another has a factor, too.
    """
    share, parts = weight.double() / weight.double().sum(), chunks(len(x), x.shape[1], x.device)
    centre = torch.stack([share[part] @ x[part].double() for part in parts]).sum(0)
    variance = torch.stack([share[part] @ (x[part].double() - centre).square() for part in parts]).sum(0)
    scale = factor = torch.where(variance > 0, variance, 1.0).sqrt()
    if not diagonal(covariance):
        correlation = torch.finfo(x.dtype).eps ** 0.5 * torch.eye(len(scale), dtype=scale.dtype, device=scale.device)
        for part in parts:
            unit = (x[part].double() - centre) / scale
            correlation += (unit * share[part].unsqueeze(1)).mT @ unit
        factor = scale.unsqueeze(1) * torch.linalg.cholesky(correlation)
    return centre.to(x.dtype).double(), _inverse(_inverse(factor).to(x.dtype).double())


def pays(covariance: str, dims: int, components: int) -> bool:
    """Whether features are the faster way."""
    return diagonal(covariance) or dims <= min(WIDEST, RATIO * components)


class Features:
    """Features of rows under a whitening.

    Args:
        centre: (D,) mean of all rows. factor: (D, D) lower triangular, or (D,) for diagonal covariances; float64.
    """

    def __init__(self, centre: Tensor, factor: Tensor) -> None:
        self.centre, self.factor, self.dims, self.full = centre, factor, len(centre), factor.ndim == 2
        self.squares = self.dims * (self.dims + 1) // 2 if self.full else self.dims
        self.width = self.squares + self.dims + 1
        self.inverse = _inverse(factor)
        place = torch.arange(self.squares, device=centre.device)
        first = place % self.dims
        self.pairs = first, (first + place // self.dims) % self.dims  # whose product a square feature is

    def white(self, x: Tensor) -> Tensor:
        """Rows (n, D) -> y (D, n), where squares are of pairs with the first half of y below once more."""
        again = self.dims // 2 if self.full else 0
        y, centre, inverse = x.new_empty(self.dims + again, len(x)), self.centre.to(x.dtype), self.inverse.to(x.dtype)
        for part in chunks(len(x), self.dims, x.device):
            centred = x[part] - centre
            y[: self.dims, part] = inverse @ centred.mT if self.full else centred.mul_(inverse).mT
        y[self.dims :] = y[:again]
        return y

    def fill(self, y: Tensor, out: Tensor) -> Tensor:
        """Columns of `white` (.., B) -> phi (F, B), written into out."""
        if self.full:
            self._products(y, out)
        else:
            torch.square(y, out=out[: self.dims])
        out[self.squares : -1] = y[: self.dims]
        out[-1] = 1
        return out

    def _products(self, y: Tensor, out: Tensor) -> None:
        """y_i y_(i + s mod D) for all i, by shifts s: every pair once, in two calls however many dimensions."""
        dims, shifts = self.dims, (self.dims + 1) // 2
        shifted = y.as_strided((shifts, dims, y.shape[1]), (y.stride(0), *y.stride()))
        torch.mul(shifted, y[:dims], out=out[: shifts * dims].view(shifts, dims, -1))
        if dims % 2 == 0:
            torch.mul(y[: dims // 2], y[dims // 2 : dims], out=out[shifts * dims : self.squares])

    def parameters(self, model: Any) -> tuple[Tensor, float]:
        """theta (K, F) of a mixture, and its sharpness: the largest of a density's terms where it is near its peak."""
        precision, means = self._of(model)
        if self.full:
            spread = torch.diagonal(precision, dim1=1, dim2=2)
            linear = (precision @ means.unsqueeze(2)).squeeze(2)
            i, j = self.pairs
            square = -precision[:, i, j]
            square[:, : self.dims] *= 0.5  # the first shift is none: y_i y_i
        else:
            spread, linear, square = precision, precision * means, -0.5 * precision
        log_det = model.log_diagonal.double().expand(-1, self.dims).sum(1)
        constant = model.logits.double().log_softmax(0) + log_det - 0.5 * (linear * means).sum(1)
        theta = torch.cat([square, linear, (constant - 0.5 * self.dims * LOG_2PI).unsqueeze(1)], 1)
        return theta, float((spread * (1 + means.square())).amax())

    def _of(self, model: Any) -> tuple[Tensor, Tensor]:
        """Precisions (K, D, D) or their diagonals (K, D), and means (K, D), of the components as laws of y."""
        shift = model.means.double() - self.centre
        if not self.full:
            scale = model.log_diagonal.double().exp() * self.factor
            return scale.square(), shift * self.inverse
        factors = self.factor.mT @ model.precision_factors().double()
        return factors @ factors.mT, shift @ self.inverse.mT

    def sums(self, theta: Tensor, y: Tensor, weight: Tensor | None) -> Sums:
        """The E step over these rows, and what the M step needs of it, about 0 in y.

        Args:
            theta: (K, F) parameters. y: the rows, whitened. weight: (n,) of the rows.
        """
        theta, whole = theta.to(y.dtype), torch.zeros_like(theta)
        log_prob, parts = whole.new_zeros(()), chunks(y.shape[1], self.width + len(theta), y.device, LEAST)
        memory = [y.new_empty(size * (parts[0].stop if parts else 0)) for size in theta.mT.shape]
        for part in parts:
            length = part.stop - part.start
            phi, joint = (m[: size * length].view(size, length) for m, size in zip(memory, theta.mT.shape, strict=True))
            torch.mm(theta, self.fill(y[:, part], phi), out=joint)
            log_prob += responsibilities(joint, None if weight is None else weight[part])
            whole += joint @ phi.mT
        return self._named(whole, log_prob, total_weight(y.shape[1], weight, y.device))

    def _named(self, whole: Tensor, log_prob: Tensor, weight: Tensor) -> Sums:
        """(K, F) sums of features under their names."""
        square, first, count = whole.split([self.squares, self.dims, 1], 1)
        if self.full:
            i, j = self.pairs
            matrix = whole.new_empty(len(whole), self.dims, self.dims)
            matrix[:, i, j], matrix[:, j, i] = square, square
            square = matrix
        return Sums(log_prob, weight, count.squeeze(1), first, square)

    def in_model_units(self, moments: Moments) -> Moments:
        """Moments of y -> moments of u."""
        if not self.full:
            means = moments.means * self.factor + self.centre
            return Moments(moments.count, means, moments.scatter * self.factor.square())
        scatter = self.factor @ moments.scatter @ self.factor.mT
        return Moments(moments.count, moments.means @ self.factor.mT + self.centre, scatter)


def _inverse(factor: Tensor) -> Tensor:
    if factor.ndim == 1:
        return 1 / factor
    eye = torch.eye(len(factor), dtype=factor.dtype, device=factor.device)
    return torch.linalg.solve_triangular(factor, eye, upper=False)
