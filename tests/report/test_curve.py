"""Training curves are well-formed SVG that stays inside its frame."""

import math
import re
from xml.etree import ElementTree

from fairway.report.curve import HEIGHT, POINTS, WIDTH, curve


def points_of(svg, name):
    found = re.search(rf'<polyline class="{name}" points="([^"]*)"', svg)
    return [tuple(map(float, pair.split(","))) for pair in found[1].split()] if found else []


def test_loss_and_monitor_fall_to_the_right_inside_the_frame():
    svg = curve([{"step": s, "loss": 5.0 / s, "monitor": 2.0 / s} for s in range(1, 400)], 'a "model" <x>')
    assert ElementTree.fromstring(svg).attrib["aria-label"].startswith('Training curve of a "model" <x>: loss from 5')
    for name in ("loss", "monitor"):
        points = points_of(svg, name)
        assert 2 < len(points) <= POINTS + 1 and points == sorted(points)
        assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points)
        assert points[0][1] < points[-1][1]  # y grows downward
    assert "399 steps" in svg


def test_entries_that_are_not_finite_or_missing_are_left_out():
    rows = [{"step": s, "loss": math.nan if s == 3 else s, "monitor": math.inf} for s in range(1, 7)]
    svg = curve(rows)
    assert len(points_of(svg, "loss")) == 5 and not points_of(svg, "monitor")


def test_nothing_to_draw_is_no_picture():
    assert curve([]) == curve([{"step": 1, "loss": 2.0}]) == ""


def test_a_flat_curve_has_a_scale():
    assert len(points_of(curve([{"step": s, "loss": 1.0} for s in range(5)]), "loss")) == 5


def test_numbers_fit_the_margins():
    svg = curve([{"step": s, "loss": 4213.0 * s, "monitor": 1.25 + 1e-4 * s} for s in range(1, 9)])
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    assert "4.21e3" in texts and {"1.2501", "1.2508"} <= set(texts) and max(map(len, texts)) <= 7
