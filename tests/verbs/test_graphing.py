"""A graph drawn from Python: one file, one sentence for what cannot be drawn."""

import xml.etree.ElementTree as ET

import pytest
import torch

import optwise as ow
from optwise.core.errors import BadFolder, BadProblem


def least_squares():
    X, w = torch.tensor([[1.0, 2.0], [0.0, 1.0]]), torch.tensor([1.0, 1.0], requires_grad=True)
    z = X @ w
    return z.square().sum() / 2, {"w": w, "z <script>": z}


def test_the_drawing_is_an_svg_whose_names_are_escaped(tmp_path):
    loss, names = least_squares()
    file = ow.draw_graph(loss, names, tmp_path / "graph.svg")
    text = file.read_text(encoding="utf-8")
    assert "<script" not in text
    words = "".join(ET.fromstring(text).itertext())
    assert "z <script>" in words
    loss.backward()  # the graph is still there


def test_a_png_is_a_png(tmp_path):
    loss, names = least_squares()
    assert ow.draw_graph(loss, names, tmp_path / "graph.png").read_bytes().startswith(b"\x89PNG")


def test_what_cannot_be_drawn_is_refused(tmp_path):
    loss, names = least_squares()
    with pytest.raises(BadFolder, match=r"end it in \.svg or \.png"):
        ow.draw_graph(loss, names, tmp_path / "graph.gif")
    with pytest.raises(BadFolder, match="cannot be written"):
        ow.draw_graph(loss, names, tmp_path / "nowhere" / "graph.svg")
    with pytest.raises(BadProblem):
        ow.draw_graph(torch.ones(2), {}, tmp_path / "graph.svg")
