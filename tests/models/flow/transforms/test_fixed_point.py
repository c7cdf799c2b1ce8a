"""Fixed points row by row, damped steps, and the gradient at the end of an iteration."""

import torch

from fairway.models.flow.transforms.fixed_point import damped, fixed_point, solved


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_contraction_reaches_its_fixed_point():
    x, done = fixed_point(lambda x: 0.5 * torch.cos(x), normal(5, 3))
    torch.testing.assert_close(x, 0.5 * torch.cos(x), rtol=1e-14, atol=1e-14)
    assert bool(done.all())


def test_a_row_does_not_depend_on_slow_neighbours():
    rate = torch.tensor([[0.1], [0.99]], dtype=torch.float64)
    both, _ = fixed_point(lambda x: rate * x + 1, torch.zeros(2, 1, dtype=torch.float64), iterations=5000)
    alone, _ = fixed_point(lambda x: rate[:1] * x + 1, torch.zeros(1, 1, dtype=torch.float64))
    assert torch.equal(both[:1], alone)


def test_what_diverges_stops_and_says_so():
    x, done = fixed_point(lambda x: x * x, torch.tensor([[0.5], [3.0]]))
    assert done.tolist() == [True, False] and float(x[0]) < 1e-12


def test_damping_finds_a_root_that_full_steps_overshoot():
    def look(u):  # arctan: Newton's steps diverge beyond 1.39
        return torch.atan(u), 1 / (1 + u * u), torch.atan(u).abs().amax(1) < 1e-12

    u, done = damped(look, torch.tensor([[0.3], [2.0], [5.0]], dtype=torch.float64))
    assert bool(done.all()) and float(u.abs().max()) < 1e-10


def test_damping_gives_up_where_no_step_helps():
    def look(u):  # no root
        return 1 + u * u, torch.ones_like(u), torch.zeros(len(u), dtype=torch.bool)

    assert not bool(damped(look, normal(3, 1))[1].any())


def test_the_implicit_gradient_is_that_of_the_inverse():
    matrix = (torch.eye(3, dtype=torch.float64) + 0.2 * normal(3, 3)).requires_grad_()
    z = normal(4, 3, seed=1).requires_grad_()
    goal = normal(4, 3, seed=2)
    x = torch.linalg.solve(matrix, z.T).T
    expected = torch.autograd.grad((x * goal).sum(), (matrix, z))

    def adjoint(transposed, g):
        return fixed_point(lambda y: g - (transposed(y) - y), g)[0]

    y = solved(lambda x: x @ matrix.T, x.detach(), z, adjoint)
    torch.testing.assert_close(y, x)
    found = torch.autograd.grad((y * goal).sum(), (matrix, z))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)


def test_without_a_gradient_to_carry_nothing_is_computed():
    x = normal(2, 2)
    assert solved(lambda x: 2 * x, x, 2 * x, None) is x
