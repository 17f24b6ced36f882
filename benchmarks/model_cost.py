"""What anchors cost: forward and backward time of the network with K of them, beside the operations that are counted.

    python -m benchmarks.model_cost [--anchors 0 1 3 5 8] [--rounds 7] [--out cost.json]
    python -m benchmarks.model_cost --preset wan2_1_t2v_1_3b --device cuda --dtype bfloat16 --checkpointing --anchors 0 5
    python -m benchmarks.model_cost --count wan2_1_t2v_1_3b [--anchors 0 5]

Each round does one step (forward, backward) for every K, beginning with another K each time. A step's ratio is to the step without anchors of the same
round, and the median over rounds counts, so that whatever else the machine does in a slow minute meets both. The exit status is 1 when a measured ratio is
farther than TARGET from the counted one.

The preset `cpu` is two blocks of Wan 2.1 1.3B with two of its heads of 128 and its proportions, so that one core needs seconds for a step. Its chunk is 9
latent frames of 16 x 16 tokens: 2304 tokens, 4352 with eight anchors, and self-attention scores are 43% to 60% of all operations (1.3B at 480 x 832 x 81:
70%). A real chunk has 21 frames, so anchors weigh more here than there. With far fewer tokens one measures calls and norms, not products.

On a CPU with one thread (the default there) seconds are those that the process got, not those of a clock on the wall: others may be at work on the machine.
With more threads they are of the wall, for threads that wait for each other spin.

Also: the share that the step's useful operations (three times the forward pass, also where checkpointing goes forward twice) are of the device's rate, which
is its data sheet's, or, of a CPU and of other cards, that of a large matrix product; on a GPU peak memory. Weights have the type but for those that diffusers
keeps in float32; there is no optimizer.

With --count nothing is measured: the whole network goes forward on PyTorch's meta device, where tensors have shapes alone, and the operations are those
of model.flops, beside those that PyTorch's own counter sees; the exit status is 1 when they differ.
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from model.device_peak import measured_flops, peak_flops
from model.flops import FlopCount, forward_flops
from model.positions import AnchorClass
from model.presets import PRESETS, preset
from model.transformer import AnchorWanTransformer3DModel

TARGET = 0.10
"""Largest distance of a measured ratio from the counted one."""

CPU: Mapping[str, Any] = {"num_attention_heads": 2, "ffn_dim": 1493, "num_layers": 2, "audio_layers": ()}
"""What the preset `cpu` changes of wan2_1_t2v_1_3b."""

SIZES = {"cpu": (9, 32, 32), "tiny": (21, 24, 24), "wan2_1_t2v_1_3b": (21, 60, 104), "wan2_1_i2v_14b": (21, 60, 104), "wan2_2_ti2v_5b": (31, 44, 80)}
"""Latent frames, height and width of a chunk: 480 x 832 x 81 for Wan 2.1, 704 x 1280 x 121 for Wan 2.2 5B."""


@dataclass(frozen=True)
class Setting:
    """What is the same for every number of anchors.

    Attributes:
        preset: `cpu` or one of model.presets.
        video: frames, height and width in latents; anchors have the same height and width.
        device, dtype: of the network and all inputs.
        batch, text_tokens: of a step.
        checkpointing: of gradients.
        mask: with a key mask, as a batch of mixed anchor sets has it.
        rounds: that count; one more comes before them.
        peak_flops: operations per second of the device, None where nobody asks.
        peak_source: who says so.
    """

    preset: str
    video: tuple[int, int, int]
    device: str = "cpu"
    dtype: str = "float32"
    batch: int = 1
    text_tokens: int = 512
    checkpointing: bool = False
    mask: bool = False
    rounds: int = 7
    peak_flops: float | None = None
    peak_source: str = ""


@dataclass(frozen=True)
class Cost:
    """Of a step with so many anchors.

    Attributes:
        anchors: of each sample.
        tokens: of each sample, video and anchors.
        seconds: the median over rounds.
        spread: between the lowest and the highest ratio of a round.
        tflop: counted, forward and backward.
        scores_share: of self-attention scores in it.
        measured, counted: ratio to no anchors, of time and of operations.
        quotient: measured over counted.
        peak_gib: most memory allocated on a GPU.
        peak_share: of the device's rate.
    """

    anchors: int
    tokens: int
    seconds: float
    spread: float
    tflop: float
    scores_share: float
    measured: float
    counted: float
    quotient: float
    peak_gib: float | None
    peak_share: float | None

    @property
    def met(self) -> bool:
        return abs(self.quotient - 1) <= TARGET


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.model_cost", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--count", choices=tuple(PRESETS), help="count the operations of this network, instead of measuring")
    parser.add_argument("--preset", choices=("cpu", *PRESETS), default="cpu", help="which network (default cpu)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default cpu)")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="of weights and inputs (default float32)")
    parser.add_argument("--anchors", nargs="+", type=int, default=[0, 1, 3, 5, 8], help="numbers of anchors (default 0 1 3 5 8)")
    for number, name in enumerate(("frames", "height", "width")):
        parser.add_argument(f"--{name}", type=int, help=f"of the video, in latents (default of cpu {SIZES['cpu'][number]}; of Wan's that of a whole chunk)")
    parser.add_argument("--batch", type=int, default=1, help="samples of a step (default 1)")
    parser.add_argument("--text-tokens", type=int, default=512, help="of a sample (default 512)")
    parser.add_argument("--checkpointing", action="store_true", help="of gradients")
    parser.add_argument("--mask", action="store_true", help="with a key mask, as a batch of mixed anchor sets has it")
    parser.add_argument("--rounds", type=int, default=7, help="steps of each that count (default 7)")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU (default 1, see above)")
    parser.add_argument("--peak-tflops", type=float, help="the device's rate (default: its data sheet's, or else that of a large matrix product)")
    parser.add_argument("--out", type=Path, help="write the figures there as JSON")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    given = (options.frames, options.height, options.width)
    video = tuple(size or default for size, default in zip(given, SIZES[options.count or options.preset], strict=True))
    if options.count:
        setting = Setting(options.count, (video[0], video[1], video[2]), "meta", batch=options.batch, text_tokens=options.text_tokens)
        return print_counts(setting, options.anchors)
    setting = Setting(
        options.preset,
        (video[0], video[1], video[2]),
        options.device,
        options.dtype,
        options.batch,
        options.text_tokens,
        options.checkpointing,
        options.mask,
        options.rounds,
        *peak(options.device, getattr(torch, options.dtype), options.peak_tflops),
    )
    costs = measure(setting, options.anchors)
    Console(width=150).print(table(setting, costs))
    if options.out:
        figures = {"device": device_name(options.device), "torch": torch.__version__, "threads": torch.get_num_threads(), "setting": asdict(setting)}
        options.out.write_text(json.dumps({**figures, "costs": [asdict(cost) | {"met": cost.met} for cost in costs]}, indent=1) + "\n")
    return int(not all(cost.met for cost in costs))


def print_counts(setting: Setting, anchors: Sequence[int]) -> int:
    """The operations of a whole chunk with each number of anchors; gives the exit status."""
    frames, height, width = setting.video
    drawn = Table(title=f"{setting.preset}, {frames} x {height} x {width} latents, {setting.text_tokens} text tokens, batch {setting.batch}: TFLOP counted")
    for column in ("anchors", "forward", "forward and backward", "scores of self-attention", "forward by PyTorch's counter"):
        drawn.add_column(column, justify="right")
    model, differing = build(setting), 0
    for count in sorted(set(anchors)):
        flops, seen = count_flops(model, setting, count), seen_flops(model, draw(model, setting, count))
        differing += flops.total != seen
        share = flops.self_attention_scores / flops.total
        drawn.add_row(f"{count}", f"{flops.total / 1e12:.4g}", f"{flops.training() / 1e12:.4g}", f"{share:.1%}", f"{seen / 1e12:.4g}")
    Console(width=150).print(drawn)
    return int(differing > 0)


@torch.no_grad()
def seen_flops(model: AnchorWanTransformer3DModel, inputs: Mapping[str, Tensor]) -> int:
    """What PyTorch counts of a forward pass. It knows attention on cards alone, so that is taken apart into its products."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(**inputs)
    return counter.get_total_flops()


def measure(setting: Setting, anchors: Sequence[int]) -> list[Cost]:
    """The cost of each number of anchors and of none, in rounds."""
    counts = sorted({0, *anchors})
    model = build(setting)
    inputs = {count: draw(model, setting, count) for count in counts}
    seconds: dict[int, list[float]] = {count: [] for count in counts}
    peaks: dict[int, float] = dict.fromkeys(counts, 0.0)
    for number in range(setting.rounds + 1):
        first = number % len(counts)
        for count in counts[first:] + counts[:first]:
            took, peak = timed(setting.device, lambda count=count: step(model, inputs[count]))  # type: ignore[misc]
            model.zero_grad(set_to_none=True)
            if number:  # the first round warms up
                seconds[count].append(took)
                peaks[count] = max(peaks[count], peak)
    flops = {count: count_flops(model, setting, count) for count in counts}
    return [cost(setting, count, seconds, flops, peaks[count]) for count in counts]


def cost(setting: Setting, count: int, seconds: Mapping[int, Sequence[float]], flops: Mapping[int, FlopCount], peak_bytes: float) -> Cost:
    """From the seconds of every round."""
    frames, height, width = setting.video
    ratios = sorted(mine / none for mine, none in zip(seconds[count], seconds[0], strict=True))
    took, useful = median(seconds[count]), flops[count].training()
    measured, counted = median(ratios), flops[count].total / flops[0].total
    return Cost(
        anchors=count,
        tokens=(frames + count) * (height // 2) * (width // 2),
        seconds=took,
        spread=ratios[-1] - ratios[0],
        tflop=flops[count].training(setting.checkpointing) / 1e12,
        scores_share=flops[count].self_attention_scores / flops[count].total,
        measured=measured,
        counted=counted,
        quotient=measured / counted,
        peak_gib=peak_bytes / 2**30 if setting.device.startswith("cuda") else None,
        peak_share=useful / took / setting.peak_flops if setting.peak_flops else None,
    )


def build(setting: Setting) -> AnchorWanTransformer3DModel:
    """The network with random weights, where it is to run, in the types that a checkpoint would be loaded in."""
    torch.manual_seed(0)
    with torch.device(setting.device):
        model = preset("wan2_1_t2v_1_3b").build(**CPU) if setting.preset == "cpu" else preset(setting.preset).build()
    kept = set(model._keep_in_fp32_modules)
    for name, parameter in model.named_parameters():
        if not kept & set(name.split(".")):
            parameter.data = parameter.data.to(getattr(torch, setting.dtype))
    model.train()
    if setting.checkpointing:
        model.enable_gradient_checkpointing()
    return model


def draw(model: AnchorWanTransformer3DModel, setting: Setting, count: int) -> dict[str, Tensor]:
    """Random inputs with so many anchors."""
    config, batch, (frames, height, width) = model.config, setting.batch, setting.video
    kind = {"device": setting.device, "dtype": getattr(torch, setting.dtype)}
    inputs = {
        "hidden_states": torch.randn(batch, config.in_channels, frames, height, width, **kind),
        "timestep": torch.full((batch,), 500.0, device=setting.device),
        "encoder_hidden_states": torch.randn(batch, setting.text_tokens, config.text_dim, **kind),
    }
    if config.image_dim:
        inputs["encoder_hidden_states_image"] = torch.randn(batch, image_tokens(config), config.image_dim, **kind)
    if count:
        positions = model.anchor_positions.of((AnchorClass.all() * model.anchor_positions.most_repeats)[:count])
        inputs["anchors"] = torch.randn(batch, config.in_channels, count, height, width, **kind)
        inputs["anchor_positions"] = torch.tensor(positions, dtype=torch.float64, device=setting.device).expand(batch, -1)
        if setting.mask:
            inputs["anchor_mask"] = torch.ones(batch, count, dtype=torch.bool, device=setting.device)
    return inputs


def count_flops(model: AnchorWanTransformer3DModel, setting: Setting, count: int) -> FlopCount:
    return forward_flops(model.config, setting.video, count, text_tokens=setting.text_tokens, image_tokens=image_tokens(model.config), batch=setting.batch)


def image_tokens(config: Mapping[str, Any]) -> int:
    """CLIP's, of one picture."""
    return 257 if config["image_dim"] else 0


def step(model: AnchorWanTransformer3DModel, inputs: Mapping[str, Tensor]) -> None:
    torch.autograd.backward(model(**inputs, return_dict=False)[0].float().square().mean())


def timed(device: str, call: Callable[[], None]) -> tuple[float, float]:
    """Seconds of a call, to the end of what it started, and the most bytes that a GPU had allocated."""
    cuda = device.startswith("cuda")
    if cuda:
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
    clock = time.process_time if not cuda and torch.get_num_threads() == 1 else time.perf_counter
    start = clock()
    call()
    if cuda:
        torch.cuda.synchronize(device)
    return clock() - start, float(torch.cuda.max_memory_allocated(device)) if cuda else 0.0


def device_name(device: str) -> str:
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else "cpu"


def peak(device: str, dtype: torch.dtype, tflops: float | None = None) -> tuple[float, str]:
    """Operations per second that a device can do at most, and who says so."""
    if tflops:
        return tflops * 1e12, "given"
    if known := peak_flops(device_name(device), dtype):
        return known, "data sheet"
    return measured_flops(device, dtype), "measured"


def table(setting: Setting, costs: Sequence[Cost]) -> Table:
    """The figures for a terminal."""
    frames, height, width = setting.video
    title = f"{setting.preset}, {frames} x {height} x {width} latents, {setting.dtype}, {device_name(setting.device)}, {setting.rounds} rounds"
    cuda = setting.device.startswith("cuda")
    drawn = Table(title=title)
    columns = ("anchors", "tokens", "seconds", "TFLOP", "scores", "measured", "counted", "quotient", f"within {TARGET:.0%}", "of peak")
    for column in (*columns, *(("peak GiB",) if cuda else ())):
        drawn.add_column(column, justify="right")
    for row in costs:
        ratio = f"{row.measured:.3f} (spread {row.spread:.3f})"
        cells = [f"{row.anchors}", f"{row.tokens}", f"{row.seconds:.3f}", f"{row.tflop:.3f}", f"{row.scores_share:.0%}", ratio, f"{row.counted:.3f}"]
        cells += [f"{row.quotient:.3f}", "met" if row.met else "MISSED", "?" if row.peak_share is None else f"{row.peak_share:.1%}"]
        drawn.add_row(*cells, *([f"{row.peak_gib:.1f}"] if cuda else []))
    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    drawn.caption = f"a rate of {costs[0].tflop / costs[0].seconds:.3g} TFLOP/s without anchors; {host:.1f} GiB of host memory at most"
    if setting.peak_flops:
        drawn.caption += f"; peak: {setting.peak_flops / 1e12:.3g} TFLOP/s ({setting.peak_source})"
    return drawn


if __name__ == "__main__":
    sys.exit(main())
