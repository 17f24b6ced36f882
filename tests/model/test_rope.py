"""Rotary tables against diffusers' own, and against complex numbers turned by hand."""

import math
from itertools import product

import pytest
import torch
from diffusers.models.transformers.transformer_wan import WanRotaryPosEmbed
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from model.attention import rotate
from model.rope import axis_sizes, rotary_tables

HEAD_DIM = 20
"""Wan gives 8 channels to time, 6 to height and 6 to width."""


def angle(pair: int, frame: float, row: int, column: int) -> float:
    """By how much a channel pair of a head turns, in the words of RoFormer: position * 10000^(-2i/d), i counted within each axis."""
    for size, position in ((8, frame), (6, row), (6, column)):
        if pair < size // 2:
            return position * 10_000.0 ** (-2 * pair / size)
        pair -= size // 2
    raise AssertionError


def positions(*rows: list[float]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def turned_product(query: Tensor, key: Tensor, query_frame: float, key_frame: float) -> float:
    """Dot product of a head's query and key, vectors of HEAD_DIM, at two temporal positions."""
    tables = [rotary_tables(positions([frame]), 1, 1, HEAD_DIM) for frame in (query_frame, key_frame)]
    first, second = (rotate(vector.view(1, 1, 1, -1), *table) for vector, table in zip((query, key), tables, strict=True))
    return float((first.double() * second.double()).sum())


@pytest.mark.parametrize("head_dim", [12, 20, 32, 64, 128])
@pytest.mark.parametrize("size", [(1, 1, 1), (3, 2, 5), (21, 4, 3)])
def test_at_whole_positions_the_tables_are_the_stock_models_to_the_bit(head_dim: int, size: tuple[int, int, int]) -> None:
    frames, height, width = size
    stock = WanRotaryPosEmbed(head_dim, (1, 2, 2), 1024)(torch.empty(1, 1, frames, 2 * height, 2 * width))
    ours = rotary_tables(torch.arange(frames, dtype=torch.float64).expand(1, -1), height, width, head_dim)
    for own, theirs in zip(ours, stock, strict=True):
        assert own.dtype == theirs.dtype == torch.float32
        assert torch.equal(own, theirs)


def test_far_positions_are_rows_of_the_stock_table() -> None:
    table = WanRotaryPosEmbed(128, (1, 2, 2), 1024)
    time = axis_sizes(128)[0]
    rows = [0, 32, 54, 96, 1023]
    cosines, sines = rotary_tables(positions([float(row) for row in rows]), 1, 1, 128)
    assert torch.equal(cosines[0, :, 0, :time], table.freqs_cos[rows, :time])
    assert torch.equal(sines[0, :, 0, :time], table.freqs_sin[rows, :time])


@pytest.mark.parametrize("head_dim", range(6, 130, 2))
def test_channels_of_the_axes(head_dim: int) -> None:
    stock = WanRotaryPosEmbed(head_dim, (1, 2, 2), 4)
    assert axis_sizes(head_dim) == (stock.t_dim, stock.h_dim, stock.w_dim)
    assert sum(axis_sizes(head_dim)) == head_dim


def test_tokens_come_frame_by_frame_row_by_row_each_sample_at_its_own_positions() -> None:
    rows = [[0.0, 1.0, 32.25], [-3.5, 7.0, 1e4]]
    cosines, sines = rotary_tables(positions(*rows), 2, 3, HEAD_DIM)
    assert cosines.shape == sines.shape == (2, 3 * 2 * 3, 1, HEAD_DIM)
    for sample, (token, (frame, row, column)) in product(range(2), enumerate(product(range(3), range(2), range(3)))):
        angles = [angle(channel // 2, rows[sample][frame], row, column) for channel in range(HEAD_DIM)]
        expected = torch.tensor([[math.cos(value), math.sin(value)] for value in angles])
        torch.testing.assert_close(torch.stack([cosines[sample, token, 0], sines[sample, token, 0]], dim=1), expected, rtol=0, atol=1e-7)


def test_a_batch_is_its_samples() -> None:
    rows = [[0.0, 33.5], [-2.0, 5.0], [4.0, 64.25]]
    together = rotary_tables(positions(*rows), 2, 2, HEAD_DIM)
    for index, row in enumerate(rows):
        for whole, single in zip(together, rotary_tables(positions(row), 2, 2, HEAD_DIM), strict=True):
            assert torch.equal(whole[index : index + 1], single)


@settings(max_examples=40)
@given(query_frame=st.floats(-200, 200), key_frame=st.floats(-200, 200), shift=st.floats(-200, 200), seed=st.integers(0, 9))
def test_what_query_and_key_make_of_it_depends_on_their_distance_alone(query_frame: float, key_frame: float, shift: float, seed: int) -> None:
    query, key = torch.randn(2, HEAD_DIM, generator=torch.Generator().manual_seed(seed))
    first, second = (torch.view_as_complex(vector.double().view(-1, 2)) for vector in (query, key))
    turns = torch.tensor([angle(pair, query_frame - key_frame, 0, 0) for pair in range(HEAD_DIM // 2)], dtype=torch.float64)
    closed = float((first * second.conj() * torch.polar(torch.ones_like(turns), turns)).real.sum())
    assert turned_product(query, key, query_frame, key_frame) == pytest.approx(closed, abs=1e-5)
    assert turned_product(query, key, query_frame + shift, key_frame + shift) == pytest.approx(closed, abs=1e-5)


def test_fractions_and_negative_numbers_are_positions_of_their_own() -> None:
    places = [-33.0, -1.0, -0.25, 0.0, 0.25, 0.5, 1.0, 33.0, 33.25]
    cosines, sines = (table[0, :, 0] for table in rotary_tables(positions(places), 1, 1, HEAD_DIM))
    both = torch.cat([cosines, sines], dim=1)
    apart = torch.cdist(both, both) + torch.eye(len(places))
    assert float(apart.min()) > 0.1
    assert torch.equal(cosines[0], cosines[-2])  # a turn back is the turn forth, mirrored
    assert torch.equal(sines[0], -sines[-2])


@pytest.mark.parametrize("place", [1e5 + 0.5, 123_456.75, -1e6 - 0.25])
def test_angles_are_exact_far_away_where_float32_would_not_be(place: float) -> None:
    cosines, _ = rotary_tables(positions([place]), 1, 1, 128)
    pairs = range(axis_sizes(128)[0] // 2)
    exact = torch.tensor([math.cos(place * 10_000.0 ** (-2 * pair / 44)) for pair in pairs], dtype=torch.float64)
    single = torch.tensor([torch.tensor(place, dtype=torch.float32).mul(torch.tensor(10_000.0 ** (-2 * pair / 44))).cos() for pair in pairs])
    torch.testing.assert_close(cosines[0, 0, 0, : 2 * len(pairs) : 2].double(), exact, rtol=0, atol=1e-7)
    assert float((single.double() - exact).abs().max()) > 1e-4


def test_whole_numbers_of_any_type_will_do() -> None:
    for own, other in zip(rotary_tables(torch.tensor([[0, 40]]), 1, 2, HEAD_DIM), rotary_tables(positions([0.0, 40.0]), 1, 2, HEAD_DIM), strict=True):
        assert torch.equal(own, other)
