"""The summary counts what is there, once, and prints for a terminal and a notebook."""

import torch
from torch import nn

from fairway.core.event import Event
from fairway.core.model import Model
from fairway.core.summary import Part, Summary
from fairway.models.classical.gaussian import Gaussian
from fairway.models.flow.real_nvp import RealNVP


class Tied(Model):
    """Two layers that share a weight, one of them frozen."""

    def __init__(self, event, context_event=None):
        super().__init__(event, context_event)
        self.first, self.second = nn.Linear(2, 3), nn.Linear(3, 2)
        self.again = nn.Linear(2, 3)
        self.again.weight = self.first.weight
        self.second.requires_grad_(False)


def test_every_parameter_is_counted_once():
    summary = Tied(Event((2,))).summary()
    assert [(part.name, part.parameters, part.trainable) for part in summary.parts] == [
        ("first", 9, 9),
        ("second", 8, 0),
        ("again", 3, 3),
    ]
    assert summary.parts[2].shapes == {"bias": (3,)}
    assert (summary.parameters, summary.trainable) == (20, 12)


def test_the_total_is_that_of_the_model():
    model = RealNVP(Event((2,)), transforms=2, hidden=(8,))
    assert model.summary().parameters == sum(p.numel() for p in model.parameters())


def test_it_prints_as_a_table_whose_numbers_stand_below_each_other():
    lines = str(RealNVP(Event((2,)), transforms=2, hidden=(8,)).summary()).split("\n")
    assert lines[0] == "real_nvp"
    table = lines[1 : next(i for i, line in enumerate(lines) if line.startswith("event: "))]
    assert table[0].split() == ["part", "class", "shapes", "parameters", "trainable"]
    assert table[-1].split()[0] == "total" and len({len(line) for line in table}) == 1


def test_the_facts_are_those_of_this_instance():
    facts = Gaussian(Event((2,))).double().summary().facts
    assert facts["event"] == "Event(shape=(2,), kind='real')"
    assert facts["units"].startswith("Standardise, model event Event(shape=(2,)")
    assert "log_prob" in facts["answers"] and facts["density"] == "exact"
    assert facts["memory"].endswith("float64") and "context" not in facts
    assert "bishop2006prml" in facts["cites"]


def test_bytes_are_those_of_parameters_and_buffers():
    model = Gaussian(Event((2,)))
    size = sum(t.numel() * t.element_size() for t in [*model.parameters(), *model.buffers()])
    assert model.summary().facts["memory"] == f"{size} bytes with its buffers, float32"
    wide = Tied(Event((2,)))
    wide.register_buffer("much", torch.zeros(3 * 2**18))
    assert wide.summary().facts["memory"].startswith("3.0 MiB")


def test_a_notebook_gets_html_in_which_nothing_is_markup_by_accident():
    html = Summary("<b>", (Part("a&b", "Linear", {"weight": (1, 2)}, 2, 2),), {"event": "x < y"})._repr_html_()
    assert "&lt;b&gt;" in html and "a&amp;b" in html and "x &lt; y" in html
    assert html.count("<tr>") == 3


def test_many_shapes_are_cut_short():
    part = Part("lstm", "LSTM", {f"weight_{i}": (2, 2) for i in range(6)}, 24, 24)
    assert part.cells()[2].endswith("weight_3 2x2, ... 2 more")
