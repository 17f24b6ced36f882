"""What is trained, as one module: a forward pass is one call, which is what data-parallel wrappers hook into."""

from typing import NamedTuple

from torch import Tensor, nn

from model.checkpoint import Checkpoint
from model.transformer import AnchorWanTransformer3DModel


class NetworkInputs(NamedTuple):
    """What a forward pass takes; shapes as in ``AnchorWanTransformer3DModel.forward``.

    Attributes:
        hidden_states, timestep: of the video.
        text: (B, T, text_dim); None where the text encoder is trained.
        prompts: B captions, for a text encoder that is trained.
        picture: embedding of the first frame, for networks that look at one.
        anchors, anchor_positions, anchor_mask: None when no sample has an anchor.
        audio, audio_mask: None when the network hears nothing.
    """

    hidden_states: Tensor
    timestep: Tensor
    text: Tensor | None
    prompts: tuple[str, ...]
    picture: Tensor | None
    anchors: Tensor | None
    anchor_positions: Tensor | None
    anchor_mask: Tensor | None
    audio: Tensor | None
    audio_mask: Tensor | None


class TrainedNetwork(nn.Module):
    """The transformer and, where it has weights to be trained, the text encoder.

    Attributes:
        transformer: the network.
        text_encoder: a module that makes tokens of prompts (``WordEmbedding``); None where captions are embedded by a frozen encoder.
    """

    def __init__(self, transformer: AnchorWanTransformer3DModel, text_encoder: nn.Module | None) -> None:
        super().__init__()
        self.transformer = transformer
        self.text_encoder = text_encoder

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> "TrainedNetwork":
        """The trained parts of a checkpoint; the modules are the checkpoint's own, not copies."""
        text = checkpoint.text_encoder
        return cls(checkpoint.transformer, text if isinstance(text, nn.Module) else None)

    def forward(self, inputs: NetworkInputs) -> Tensor:
        """The velocity (B, C, F, h, w)."""
        text = inputs.text if self.text_encoder is None else self.text_encoder(list(inputs.prompts))
        velocity: Tensor = self.transformer(
            inputs.hidden_states,
            inputs.timestep,
            text,
            inputs.picture,
            return_dict=False,
            anchors=inputs.anchors,
            anchor_positions=inputs.anchor_positions,
            anchor_mask=inputs.anchor_mask,
            audio=inputs.audio,
            audio_mask=inputs.audio_mask,
        )[0]
        return velocity
