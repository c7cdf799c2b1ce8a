"""The page carries everything in itself, says what the rows say, and lets no text become markup."""

import re
from html.parser import HTMLParser

import pytest
import torch

from fairway.core.event import Event
from fairway.report.compare import Comparison
from fairway.report.page import page, pictures

VOID = {"meta", "img", "link", "br"}


@pytest.fixture
def found(rows):
    about = {
        "title": "digits: 4 models compared",
        "event": Event((4, 4), "integer", low=0, high=16).to_dict(),
        "protocol": "grey levels 0..16",
        "train": 1438,
        "held_out": 359,
        "budget": "30 s",
        "seed": 0,
        "fairway": "0.1.0",
        "torch": "2",
        "threads": 2,
        "cores": 2,
        "digest": "3e2a4d8a183c",
    }
    drawn = torch.randint(0, 17, (70, 4, 4), generator=torch.Generator().manual_seed(0))
    samples = {row.name: drawn for row in rows if row.status == "ok"}
    return Comparison(rows, about, samples, drawn)


class Balance(HTMLParser):
    """Every tag that opens closes, in order."""

    def __init__(self):
        super().__init__()
        self.open, self.addresses = [], []

    def handle_starttag(self, tag, attributes):
        self.addresses += [value for name, value in attributes if name in ("src", "href", "data", "srcset")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_it_is_well_formed_and_loads_nothing(found):
    text, parser = page(found), Balance()
    parser.feed(text)
    assert not parser.open and parser.addresses and all(a.startswith("data:image/png") for a in parser.addresses)
    assert "<script" not in text and "@import" not in text and not re.search(r"url\(|https?://", text)
    assert 'name="viewport"' in text and "prefers-color-scheme: dark" in text and "max-width: 640px" in text


def test_it_says_what_the_rows_say(found, rows):
    text = page(found)
    for word in ("≤ 2.200 ± 0.013", "= 2.200 ± 0.013", "numerical", "1,231,936", "grey levels 0..16", "1,438 rows"):
        assert word in text
    assert [text.index(f'<th scope="row">{row.name}') for row in rows] == sorted(
        text.index(f'<th scope="row">{row.name}') for row in rows
    )
    assert text.count("<figure") == text.count("<img") == 5 and text.count("<svg") == 2


def test_a_failure_is_told_as_text(found):
    text = page(found)
    assert "&lt;b&gt;scale&lt;/b&gt; &amp; offset" in text and "<b>scale" not in text


def test_every_cell_of_a_phone_card_has_its_title(found):
    cells = re.findall(r"<td class=\"(?!reason)[^>]*>", page(found))
    assert cells and all("data-title=" in cell for cell in cells)


def test_pictures_are_png_files(found):
    files = pictures(found)
    assert set(files) == set(found.samples) and all(f.startswith(b"\x89PNG") for f in files.values())


def test_a_title_is_no_markup(found):
    found.about["title"] = "<i>x</i>.csv: 1 model compared"
    assert "<i>x" not in page(found)


def test_captions_have_two_lines_with_the_unit_and_the_distance(found):
    captions = re.findall(
        r"<figcaption><b>([^<]*)</b><span>([^<]*)</span><span>([^<]*)</span></figcaption>", page(found)
    )
    assert ("made", "= 2.200 ± 0.013 bits/dim", "distance 0.234") in captions  # rounds half to even, as Python does
    assert ("wgan_gp", "no likelihood", "distance 0.234") in captions
    assert ("fresh real data", "reference", "distance 0.180") in captions and len(captions) == 5


def test_a_legend_names_the_lines_that_are_drawn(found, rows):
    rows[1].history = [{"step": 1, "loss": 3.0}, {"step": 2, "monitor": 1.0}, {"step": 3, "monitor": 0.5}]
    both, one = re.findall(r'<p class="legend">(.*?)</p>', page(found))
    assert "loss</span>" in both and "held-out monitor" in both and "converged" in both
    assert "loss</span>" not in one and "held-out monitor" in one


def test_the_footer_counts_what_it_ran_on(found):
    assert "fairway 0.1.0 · torch 2 · 2 threads on 2 cores · data digest 3e2a4d8a183c</footer>" in page(found)
    found.about["threads"] = 1
    assert "· 1 thread on 2 cores ·" in page(found)
