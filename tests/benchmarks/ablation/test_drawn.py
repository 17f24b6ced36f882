"""The pictures show what the classes say, and nothing in them tells a class."""

from dataclasses import fields

import torch

from benchmarks.ablation.drawn import (
    BODY,
    CLASSES,
    COLOURS,
    EXPRESSIONS,
    EYE,
    FRAMES,
    PLAIN_EMBLEM,
    PLAIN_MOUTH,
    SIDE,
    VIEWS,
    Samples,
    samples,
)
from model.positions import AnchorClass
from schemas.vocabulary import AnchorKind, Expression, Viewpoint


def drawn(count: int = 300, seed: int = 0) -> Samples:
    return samples(count, torch.Generator().manual_seed(seed))


def test_the_same_seed_draws_the_same() -> None:
    one, same, other = drawn(), drawn(), drawn(seed=1)
    assert torch.equal(one.clips, same.clips)
    assert torch.equal(one.inside, same.inside)
    assert torch.equal(one.outside, same.outside)
    assert one.captions() == same.captions()
    assert not torch.equal(one.clips, other.clips)


def test_shapes_and_range() -> None:
    one = drawn(5)
    assert one.clips.shape == (5, 3, FRAMES, SIDE, SIDE)
    assert one.inside.shape == one.outside.shape == (5, 3, len(CLASSES), SIDE, SIDE)
    assert all(float(pictures.abs().max()) <= 1 for pictures in (one.clips, one.inside, one.outside))


def test_the_clip_shows_what_the_caption_asks_for() -> None:
    one = drawn()
    each = torch.arange(300)
    assert torch.equal(one.clips[:, :, 0, PLAIN_EMBLEM[0].start, PLAIN_EMBLEM[1].start], one.characters.emblems[each, one.views])
    assert torch.equal(one.clips[:, :, 0, PLAIN_MOUTH[0].start, PLAIN_MOUTH[1].start], one.characters.mouths[each, one.expressions])
    assert torch.equal(one.clips[:, :, 0, 0, 0], one.scenes.colours)
    view, expression, colour = VIEWS[int(one.views[0])], EXPRESSIONS[int(one.expressions[0])], list(COLOURS)[int(one.scenes.names[0])]
    assert one.captions()[0] == f"{view.word}, {expression.word}, {colour}"
    assert len(set(one.captions())) > 100


def test_in_the_clip_the_eye_opens() -> None:
    one = drawn()
    shut, opened = one.clips.unbind(2)
    changed = (shut != opened).flatten(0, 1).any(0)
    expected = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    expected[EYE] = True
    assert torch.equal(changed, expected)


def test_an_anchor_shows_its_class() -> None:
    one = drawn()
    left = CLASSES.index(AnchorClass(AnchorKind.VIEWPOINT, Viewpoint.LEFT))
    sad = CLASSES.index(AnchorClass(AnchorKind.EXPRESSION, Expression.SAD))
    for anchors in (one.inside, one.outside):
        assert torch.equal(anchors[:, :, left, PLAIN_EMBLEM[0].start, PLAIN_EMBLEM[1].start], one.characters.emblems[:, VIEWS.index(Viewpoint.LEFT)])
        assert torch.equal(anchors[:, :, sad, PLAIN_MOUTH[0].start, PLAIN_MOUTH[1].start], one.characters.mouths[:, EXPRESSIONS.index(Expression.SAD)])


def test_the_character_is_the_same_inside_and_outside_and_the_scene_another() -> None:
    one = drawn()
    body = BODY[0].start, BODY[1].start
    for anchors, scenes in ((one.inside, one.scenes), (one.outside, one.other_scenes)):
        assert torch.equal(anchors[..., *body], one.characters.body[..., None].expand(-1, -1, len(CLASSES)))
        assert torch.equal(anchors[..., 0, 0], scenes.colours[..., None].expand(-1, -1, len(CLASSES)))


def test_nothing_in_an_anchor_tells_its_class() -> None:
    """Every view is as frequent in every other class, and so is every expression; so are their colours."""
    one = drawn(4000)
    for number, each in enumerate(CLASSES):
        emblem = one.outside[:, None, :, number, PLAIN_EMBLEM[0].start, PLAIN_EMBLEM[1].start]
        views = (emblem == one.characters.emblems).all(-1).float().mean(0)
        if each.kind != AnchorKind.VIEWPOINT:
            assert float((views - 1 / len(VIEWS)).abs().max()) < 0.04
        mouth = one.outside[:, None, :, number, PLAIN_MOUTH[0].start, PLAIN_MOUTH[1].start]
        expressions = (mouth == one.characters.mouths).all(-1).float().mean(0)
        if each.kind != AnchorKind.EXPRESSION:
            assert float((expressions - 1 / len(EXPRESSIONS)).abs().max()) < 0.04
        assert float(one.outside[:, :, number].mean((0, 2, 3)).abs().max()) < 0.15


def test_every_colour_is_a_wall() -> None:
    one = drawn(2000).scenes
    assert set(one.names.tolist()) == set(range(len(COLOURS)))
    assert len(torch.unique(one.colours, dim=0)) == len(COLOURS)


def test_characters_are_random_in_everything() -> None:
    one = drawn(50).characters
    for each in fields(one):
        assert len(torch.unique(getattr(one, each.name).reshape(-1, 3), dim=0)) == getattr(one, each.name).numel() // 3
