import torch

from tests.training.held_out import sample
from tests.training.small_training import small_checkpoint
from training.conditioning import Conditioner
from training.network import TrainedNetwork


def test_it_is_the_checkpoints_own_modules() -> None:
    checkpoint = small_checkpoint()
    network = TrainedNetwork.of(checkpoint)
    assert network.transformer is checkpoint.transformer
    assert id(network.text_encoder) == id(checkpoint.text_encoder)
    parts = {name.partition(".")[0] for name, _ in network.named_parameters()}
    assert parts == {"transformer", "text_encoder"}


@torch.no_grad()
def test_a_forward_pass_reads_the_captions_and_asks_the_transformer() -> None:
    checkpoint = small_checkpoint()
    inputs = Conditioner(checkpoint, "cpu")([sample("a", 1), sample("b", 2, anchors=1, caption="")]).inputs
    truth = checkpoint.transformer(
        inputs.hidden_states,
        inputs.timestep,
        checkpoint.text_encoder.encode(list(inputs.prompts)),
        anchors=inputs.anchors,
        anchor_positions=inputs.anchor_positions,
        anchor_mask=inputs.anchor_mask,
        audio=inputs.audio,
        audio_mask=inputs.audio_mask,
    ).sample
    assert torch.equal(TrainedNetwork.of(checkpoint)(inputs), truth)
    text = checkpoint.text_encoder.encode(list(inputs.prompts))
    frozen = TrainedNetwork(checkpoint.transformer, None)
    assert torch.equal(frozen(inputs._replace(text=text)), truth)


def test_words_learn() -> None:
    checkpoint = small_checkpoint()
    network = TrainedNetwork.of(checkpoint)
    network(Conditioner(checkpoint, "cpu")([sample("a", 1)]).inputs).square().sum().backward()
    assert network.text_encoder is not None
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in network.text_encoder.parameters())
