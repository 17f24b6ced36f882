"""A head start for networks that are trained for minutes: what they put out begins as the inverse of what they take in."""

import math

import torch

from model.transformer import AnchorWanTransformer3DModel

OFFSET = 2.0
"""Of a constant in every token, against the size of noise."""


def hand_noise_through(network: AnchorWanTransformer3DModel) -> None:
    """Set the first and the last layer, in place, with torch's own random numbers.

    A velocity is noise for the most part, and a network learns only slowly to hand noise through. This saves most of a short training. Tokens must have fewer
    numbers than the network is wide.
    """
    taken, put, offset = network.patch_embedding.weight, network.proj_out.weight, network.patch_embedding.bias
    width, size = len(taken), taken[0].numel()
    with torch.no_grad():
        basis = torch.nn.init.orthogonal_(torch.empty(width, width))
        # Channels beyond those that a token needs hold a constant, larger than what a token holds: so layer norms hardly change a token's size.
        offset.copy_(OFFSET * math.sqrt(size / (width - size)) * basis[:, size:].sum(1))
        taken.copy_(basis[:, :size].reshape(taken.shape))
        # taken are (channel, frame, row, column) of a patch, put are (frame, row, column, channel)
        put.copy_(OFFSET * math.sqrt(size / width) * taken.permute(2, 3, 4, 1, 0).reshape(put.shape))
        network.proj_out.bias.zero_()
