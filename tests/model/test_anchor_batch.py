import pytest
import torch

from model.anchor_batch import SampleAnchors, pad_anchors
from model.errors import ModelInputError
from model.positions import AnchorClass, AnchorPositions
from model.presets import tiny
from schemas.vocabulary import AnchorKind, Expression, Viewpoint

GLOBAL = AnchorClass(AnchorKind.GLOBAL)
LEFT = AnchorClass(AnchorKind.VIEWPOINT, Viewpoint.LEFT)
HAPPY = AnchorClass(AnchorKind.EXPRESSION, Expression.HAPPY)
POSITIONS = AnchorPositions()


def latents(count: int, seed: int = 0, size: tuple[int, int] = (4, 6)) -> torch.Tensor:
    return torch.randn(48, count, *size, generator=torch.Generator().manual_seed(seed))


def test_padding_masks_and_positions() -> None:
    one, three = latents(1), latents(3, 1)
    batch = pad_anchors([SampleAnchors(one, [HAPPY]), SampleAnchors(None, []), SampleAnchors(three, [GLOBAL, LEFT, GLOBAL])], POSITIONS)
    assert batch.anchors is not None
    assert batch.anchor_positions is not None
    assert batch.anchor_mask is not None
    assert batch.anchor_mask.tolist() == [[True, False, False], [False] * 3, [True] * 3]
    assert torch.equal(batch.anchors[0, :, :1], one)
    assert torch.equal(batch.anchors[2], three)
    assert not batch.anchors[1].any()
    assert batch.anchor_positions[2].tolist() == [32.0, 50.0, 32.25]
    assert batch.anchor_positions[0, 0] == 66.0


def test_no_mask_where_nothing_is_padded_and_nothing_where_there_is_no_anchor() -> None:
    assert pad_anchors([SampleAnchors(latents(1), [HAPPY]), SampleAnchors(latents(1), [LEFT])], POSITIONS).anchor_mask is None
    assert pad_anchors([SampleAnchors(None, []), SampleAnchors(latents(0), [])], POSITIONS) == (None, None, None)


def test_a_sample_in_a_batch_gives_what_it_gives_alone() -> None:
    network = tiny().build(num_layers=2).eval()
    samples = [SampleAnchors(latents(1), [HAPPY]), SampleAnchors(latents(3, 1), [GLOBAL, LEFT, HAPPY]), SampleAnchors(None, [])]
    video, text = torch.randn(3, 48, 2, 4, 6), torch.randn(3, 5, 64)
    time = torch.tensor([900.0, 500.0, 100.0])
    with torch.no_grad():
        together = network(video, time, text, return_dict=False, **pad_anchors(samples, POSITIONS)._asdict())[0]
        for row, sample in enumerate(samples):
            part = slice(row, row + 1)
            alone = network(video[part], time[part], text[part], return_dict=False, **pad_anchors([sample], POSITIONS)._asdict())[0]
            assert (together[part] - alone).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("samples", "part"),
    [
        ([SampleAnchors(latents(1), [HAPPY]), SampleAnchors(latents(1, size=(2, 2)), [HAPPY])], "one size"),
        ([SampleAnchors(latents(2), [HAPPY])], "2 anchors and 1 classes"),
        ([SampleAnchors(latents(5), [HAPPY] * 5)], "more than 4 anchors of class expression happy"),
    ],
)
def test_what_does_not_go_together(samples: list[SampleAnchors], part: str) -> None:
    with pytest.raises(ModelInputError, match=part):
        pad_anchors(samples, POSITIONS)
