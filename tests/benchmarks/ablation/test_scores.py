"""Clips whose scores are known."""

import pytest
import torch

from benchmarks.ablation.drawn import CLASSES, EXPRESSIONS, FRAMES, PLAIN_EMBLEM, PLAIN_MOUTH, VIEWS, Samples, picture, samples
from benchmarks.ablation.scores import Scores, chosen, paste, score
from model.positions import AnchorClass
from schemas.vocabulary import AnchorKind


def drawn() -> Samples:
    return samples(200, torch.Generator().manual_seed(0))


def test_the_clip_itself_follows_the_text_and_chooses_right() -> None:
    one = drawn()
    scores = score(one.clips, one)
    assert scores == Scores(scores.paste, 1.0, 1.0)
    assert scores.paste == pytest.approx(0, abs=1e-6)
    assert scores.choice == 1.0


def test_the_clip_before_the_anchors_wall_pastes() -> None:
    one = drawn()
    still = picture(one.characters, one.views, one.expressions, one.other_scenes.colours, torch.zeros(200, dtype=torch.bool))
    scores = score(still[:, :, None].expand(-1, -1, FRAMES, -1, -1), one)
    assert scores == Scores(scores.paste, 1.0, 1.0)
    assert scores.paste == pytest.approx(1, abs=1e-5)


def test_half_of_the_way_is_half_pasted_whatever_the_noise() -> None:
    one = drawn()
    half = (one.clips + one.outside[:, :, :1]) / 2
    noise = torch.randn(half.shape, generator=torch.Generator().manual_seed(1)) * 0.1
    assert score(half + noise, one).paste == pytest.approx(0.5, abs=0.02)


def test_one_anchor_for_all_is_right_by_chance() -> None:
    one = drawn()
    front = one.outside[:, :, [CLASSES.index(AnchorClass(AnchorKind.VIEWPOINT, VIEWS[0]))]].expand(-1, -1, FRAMES, -1, -1)
    scores = score(front, one)
    assert scores.view == float((one.views == 0).float().mean())
    assert scores.expression == pytest.approx(1 / len(EXPRESSIONS), abs=0.1)
    assert scores.choice == pytest.approx((scores.view + scores.expression) / 2)


def test_emblem_and_mouth_are_looked_at_apart() -> None:
    one = drawn()
    wrong = one.clips.clone()
    wrong[..., *PLAIN_EMBLEM] = one.characters.emblems[torch.arange(200), (one.views + 1) % len(VIEWS)][:, :, None, None, None]
    assert (score(wrong, one).view, score(wrong, one).expression) == (0.0, 1.0)
    wrong = one.clips.clone()
    wrong[..., *PLAIN_MOUTH] = one.characters.mouths[torch.arange(200), (one.expressions + 1) % len(EXPRESSIONS)][:, :, None, None, None]
    assert (score(wrong, one).view, score(wrong, one).expression) == (1.0, 0.0)


def test_known_figures() -> None:
    told, shown = torch.zeros(2, 3), torch.tensor([[1.0, 0, 0], [0, 2.0, 0]])
    assert paste(torch.tensor([[1.0, 0, 0], [0, 0, 0]]), told, shown) == pytest.approx(0.2)
    known = torch.tensor([[[0.0, 0, 0], [1, 1, 1]]] * 2)
    assert chosen(torch.tensor([[0.1, 0, 0], [0.2, 0, 0]]), known, torch.tensor([0, 1])) == 0.5
