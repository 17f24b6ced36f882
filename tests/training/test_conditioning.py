"""Batches against closed forms: x = (1 - sigma) clean + sigma noise, told 1000 sigma; given frames clean, at time 0."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from model.audio.windows import audio_windows, silence_vector
from model.checkpoint import Checkpoint
from model.positions import AnchorPositions
from tests.model import tiny_wan
from tests.training.held_out import CLASSES, sample
from tests.training.small_training import small_checkpoint
from training.conditioning import Conditioner
from training.data.sample import TrainingSample
from training.errors import TrainingError


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return small_checkpoint()


@pytest.fixture(scope="module")
def conditioner(checkpoint: Checkpoint) -> Conditioner:
    return Conditioner(checkpoint, "cpu")


def latents(checkpoint: Checkpoint, frames: Tensor) -> Tensor:
    return checkpoint.codec.encode((frames.float() / 127.5 - 1).permute(3, 0, 1, 2)[None])[0]


def drawn(one: TrainingSample, **changes: object) -> TrainingSample:
    return replace(one, draws=replace(one.draws, **changes))  # type: ignore[arg-type]


def test_noise_and_data_are_mixed_by_sigma(checkpoint: Checkpoint, conditioner: Conditioner) -> None:
    one, other = drawn(sample("a", 1), sigma=0.25, given=0), drawn(sample("b", 2), sigma=0.9, given=0)
    batch = conditioner([one, other])
    for row, (each, sigma) in enumerate(((one, 0.25), (other, 0.9))):
        assert each.frames is not None
        clean = latents(checkpoint, each.frames)
        noise = torch.randn(*clean.shape, generator=torch.Generator().manual_seed(each.draws.noise_seed))
        assert torch.equal(batch.clean[row], clean)
        assert torch.equal(batch.noise[row], noise)
        assert torch.allclose(batch.inputs.hidden_states[row], (1 - sigma) * clean + sigma * noise, atol=1e-6)
        assert torch.allclose(batch.inputs.timestep[row], torch.tensor(1000 * sigma))
    assert batch.sigma.tolist() == pytest.approx([0.25, 0.9])
    assert batch.learned.all()
    assert batch.keys == ("a", "b")
    assert batch.weights.tolist() == [1, 1]


def test_given_frames_are_clean_and_not_learned(conditioner: Conditioner) -> None:
    batch = conditioner([drawn(sample("a", 1), given=2), drawn(sample("b", 2), given=0)])
    assert batch.learned.tolist() == [[False, False, True], [True, True, True]]
    assert torch.equal(batch.inputs.hidden_states[0, :, :2], batch.clean[0, :, :2])
    assert not torch.equal(batch.inputs.hidden_states[0, :, 2], batch.clean[0, :, 2])
    assert batch.inputs.timestep[0].tolist() == pytest.approx([0, 0, 300])
    assert batch.inputs.timestep[1].tolist() == pytest.approx([300, 300, 300])


def test_at_least_one_frame_is_learned(conditioner: Conditioner) -> None:
    assert conditioner([drawn(sample(), given=9)]).learned.tolist() == [[False, False, True]]
    assert conditioner([drawn(sample(frames=1), given=1)]).learned.tolist() == [[True]]


def test_sigma_and_given_replace_what_was_drawn(conditioner: Conditioner) -> None:
    batch = conditioner([sample("a", 1), sample("b", 2)], sigma=torch.tensor([0.5, 0.75]), given=2)
    assert batch.sigma.tolist() == [0.5, 0.75]
    assert batch.learned.sum().item() == 2


def test_anchors_stand_where_their_classes_do(checkpoint: Checkpoint, conditioner: Conditioner) -> None:
    full, one, none = sample("a", 1), sample("b", 2, anchors=1), sample("c", 3, anchors=0)
    inputs = conditioner([full, one, none]).inputs
    assert inputs.anchors is not None
    assert inputs.anchor_positions is not None
    assert inputs.anchor_mask is not None
    assert inputs.anchor_mask.tolist() == [[True] * 3, [True, False, False], [False] * 3]
    assert inputs.anchor_positions[0].tolist() == AnchorPositions().of(CLASSES)
    assert inputs.anchor_positions[1, 0].item() == AnchorPositions().of(CLASSES[:1])[0]
    assert full.anchor_frames is not None
    for number, picture in enumerate(full.anchor_frames):
        assert torch.equal(inputs.anchors[0, :, number], latents(checkpoint, picture[None])[:, 0])
    assert not inputs.anchors[1, :, 1:].any()
    assert conditioner([none]).inputs.anchors is None
    assert conditioner([full, full]).inputs.anchor_mask is None


def test_positions_may_be_others(checkpoint: Checkpoint) -> None:
    elsewhere = AnchorPositions(first=40.0)
    inputs = Conditioner(checkpoint, "cpu", positions=elsewhere)([sample()]).inputs
    assert inputs.anchor_positions is not None
    assert inputs.anchor_positions[0].tolist() == elsewhere.of(CLASSES)


def test_latents_stand_for_pixels(checkpoint: Checkpoint, conditioner: Conditioner) -> None:
    one = sample()
    assert one.frames is not None
    assert one.anchor_frames is not None
    ahead = replace(
        one,
        frames=None,
        anchor_frames=None,
        latents=latents(checkpoint, one.frames),
        anchor_latents=torch.stack([latents(checkpoint, picture[None])[:, 0] for picture in one.anchor_frames]),
    )
    pixels, encoded = conditioner([one]).inputs, conditioner([ahead]).inputs
    assert torch.equal(pixels.hidden_states, encoded.hidden_states)
    assert pixels.anchors is not None
    assert encoded.anchors is not None
    assert torch.equal(pixels.anchors, encoded.anchors)


def test_sound_is_heard_and_silence_is_masked(checkpoint: Checkpoint, conditioner: Conditioner) -> None:
    waveform = torch.randn(16_000, generator=torch.Generator().manual_seed(0)) * 0.1
    heard, silent = drawn(sample("a", 1, waveform=waveform), first_frame=4), sample("b", 2)
    inputs = conditioner([heard, silent]).inputs
    assert inputs.audio is not None
    assert inputs.audio_mask is not None
    assert inputs.audio_mask.tolist() == [True, False]
    silence, window = silence_vector(checkpoint.audio_features), checkpoint.transformer.config.audio_window
    vectors = checkpoint.audio_features.extract(waveform, 16_000)
    assert torch.allclose(inputs.audio[0], audio_windows(vectors, 0, silence, 4, 3, 4, 16.0, window))
    assert torch.allclose(inputs.audio[1], silence.expand_as(inputs.audio[1]))
    ahead = replace(heard, waveform=None, audio_features=vectors)
    again = conditioner([ahead]).inputs.audio
    assert again is not None
    assert torch.equal(again[0], inputs.audio[0])


def test_a_sample_is_the_same_in_any_company(conditioner: Conditioner) -> None:
    one = sample("a", 1)
    alone, among = conditioner([one]), conditioner([sample("b", 2, anchors=0), one, sample("c", 3, anchors=1)])
    assert torch.equal(alone.inputs.hidden_states[0], among.inputs.hidden_states[1])
    assert torch.equal(alone.noise[0], among.noise[1])


def test_a_stand_in_weighs_nothing(conditioner: Conditioner) -> None:
    assert conditioner([sample(), sample(counted=False)]).weights.tolist() == [1, 0]


def test_words_that_are_trained_come_as_captions(conditioner: Conditioner) -> None:
    inputs = conditioner([sample(), sample(caption="")]).inputs
    assert inputs.text is None
    assert inputs.prompts == ("a red figure waves", "")


@pytest.fixture(scope="module")
def looking(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """An image-to-video network with encoders that are not trained."""
    return Checkpoint.load(tiny_wan.image_to_video(tmp_path_factory.mktemp("looking")))


def test_a_frozen_encoder_reads_the_captions(looking: Checkpoint) -> None:
    caption = tiny_wan.SENTENCES[0]
    inputs = Conditioner(looking, "cpu")([sample(height=32, width=32, caption=caption), sample(height=32, width=32, caption="")]).inputs
    assert inputs.text is not None
    truth = looking.text_encoder.encode([caption, ""])
    assert torch.allclose(inputs.text, truth, atol=1e-6)
    tokens = int((truth[0] != 0).any(dim=1).sum())
    ahead = Conditioner(looking, "cpu")([sample(height=32, width=32, caption=caption, text_embedding=truth[0, :tokens])]).inputs
    assert ahead.text is not None
    assert torch.allclose(ahead.text[0], truth[0], atol=1e-6)


@pytest.mark.parametrize("network", ["hears", "looks"])
def test_what_is_encoded_once_gives_the_same_batches(network: str, checkpoint: Checkpoint, looking: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    conditioner = Conditioner(checkpoint if network == "hears" else looking, "cpu")
    waveform = torch.randn(16_000, generator=torch.Generator().manual_seed(0)) * 0.1
    one = sample(height=32, width=32, anchors=2, waveform=waveform, caption=tiny_wan.SENTENCES[0])
    truth, ahead = conditioner([one]), conditioner.encoded(one)
    for name in ("encode_frames", "encode_anchors", "encode_text", "audio_features"):
        monkeypatch.setattr(f"training.conditioning.{name}", None)
    found = conditioner([ahead])
    assert torch.equal(found.clean, truth.clean)
    for mine, its in zip(found.inputs, truth.inputs, strict=True):
        assert torch.equal(mine, its) if isinstance(mine, Tensor) and isinstance(its, Tensor) else mine == its


def test_an_image_to_video_network_is_given_a_frame_beside(looking: Checkpoint) -> None:
    one = drawn(sample(height=32, width=32, anchors=1), given=0)
    batch = Conditioner(looking, "cpu")([one])
    hidden, channels = batch.inputs.hidden_states[0], batch.clean.shape[1]
    assert hidden.shape[0] == 36
    assert batch.learned.tolist() == [[False, True, True]]  # its layout always has the first
    mask = hidden[channels : channels + 4]
    assert mask[:, 0].all()
    assert not mask[:, 1:].any()
    assert one.frames is not None
    grey = torch.cat([one.frames[:1].float() / 127.5 - 1, torch.zeros(8, 32, 32, 3)])
    assert torch.allclose(hidden[channels + 4 :], looking.codec.encode(grey.permute(3, 0, 1, 2)[None])[0], atol=1e-5)
    assert batch.inputs.picture is not None
    assert looking.image_encoder is not None
    first = (one.frames[0].float() / 127.5 - 1).permute(2, 0, 1)[None]
    assert torch.allclose(batch.inputs.picture, looking.image_encoder.encode(first).float(), atol=1e-5)


def test_an_image_to_video_network_needs_pixels(looking: Checkpoint) -> None:
    ahead = sample("clip-7", frames=9, anchors=0, latents=torch.zeros(16, 3, 4, 4))
    with pytest.raises(TrainingError, match="clip-7: an image-to-video network needs the pixels of its samples"):
        Conditioner(looking, "cpu")([replace(ahead, frames=None)])
