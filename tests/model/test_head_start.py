"""What a network with the head start hands through before anything was learned."""

import torch

from model.head_start import hand_noise_through
from model.presets import tiny


def test_the_last_layer_undoes_the_first() -> None:
    torch.manual_seed(0)
    network = tiny().build(num_layers=1, audio_dim=None, audio_layers=())
    hand_noise_through(network)
    taken, put = network.patch_embedding.weight.flatten(1), network.proj_out.weight
    numbers = torch.randn(5, taken.shape[1])
    given_back = (numbers @ taken.T) @ put.T
    patch = network.config.patch_size
    channels = network.config.in_channels
    # what is put is ordered (frame, row, column, channel), what is taken (channel, frame, row, column)
    ordered = numbers.unflatten(1, (channels, *patch)).permute(0, 2, 3, 4, 1).flatten(1)
    scale = (given_back * ordered).sum() / ordered.square().sum()
    torch.testing.assert_close(given_back, scale * ordered, atol=1e-5, rtol=1e-5)
    assert scale > 0


def test_noise_comes_through_the_whole_network() -> None:
    torch.manual_seed(0)
    network = tiny().build(num_layers=1, audio_dim=None, audio_layers=()).eval()
    noise, time, text = torch.randn(1, 48, 2, 8, 8), torch.tensor([1000.0]), torch.zeros(1, 4, 64)

    def alike() -> float:
        with torch.no_grad():
            velocity = network(noise, time, text, return_dict=False)[0]
        return float(torch.nn.functional.cosine_similarity(velocity.flatten(), noise.flatten(), dim=0))

    before = alike()
    hand_noise_through(network)
    assert abs(before) < 0.3
    assert alike() > 0.7
