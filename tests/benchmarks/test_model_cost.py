import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks import model_cost
from benchmarks.model_cost import Setting
from model.flops import forward_flops

SMALL = Setting("tiny", (2, 4, 4), text_tokens=3, rounds=1)


def test_the_ratio_is_the_median_of_rounds_not_of_seconds() -> None:
    model = model_cost.build(SMALL)
    flops = {count: model_cost.count_flops(model, SMALL, count) for count in (0, 2)}
    ratio = flops[2].total / flops[0].total
    slow = [1.0, 3.0, 1.0, 9.0, 1.0]  # whatever the machine did in a round met both
    seconds = {0: slow, 2: [factor * ratio * noise for factor, noise in zip(slow, (1.1, 1.0, 0.9, 1.0, 2.0), strict=True)]}
    found = model_cost.cost(replace(SMALL, peak_flops=1e6), 2, seconds, flops, 0.0)
    assert (found.measured, found.counted, found.quotient) == pytest.approx((ratio, ratio, 1.0))
    assert found.spread == pytest.approx(1.1 * ratio)
    assert found.tokens == 4 * 2 * 2
    assert found.met
    assert found.peak_share == pytest.approx(3 * flops[2].total / found.seconds / 1e6)
    assert not replace(found, quotient=1.11).met
    assert not replace(found, quotient=0.89).met


def test_the_small_network_has_the_proportions_of_wan() -> None:
    config = model_cost.build(Setting("cpu", model_cost.SIZES["cpu"])).config
    dim = config.num_attention_heads * config.attention_head_dim
    assert config.ffn_dim / dim == pytest.approx(8960 / 1536, rel=1e-3)
    shares = [count.self_attention_scores / count.total for count in (forward_flops(config, model_cost.SIZES["cpu"], anchors) for anchors in (0, 8))]
    assert shares == pytest.approx([0.43, 0.60], abs=0.005)


def test_weights_have_the_types_of_a_loaded_checkpoint() -> None:
    model = model_cost.build(replace(SMALL, dtype="bfloat16", checkpointing=True))
    types = {name: parameter.dtype for name, parameter in model.named_parameters()}
    assert types["blocks.0.ffn.net.2.weight"] == types["patch_embedding.weight"] == torch.bfloat16
    assert types["condition_embedder.time_embedder.linear_1.weight"] == types["blocks.0.scale_shift_table"] == torch.float32
    assert model.is_gradient_checkpointing
    for count in (0, 2):
        inputs = model_cost.draw(model, replace(SMALL, dtype="bfloat16", mask=True), count)
        model_cost.step(model, inputs)
        assert model.patch_embedding.weight.grad is not None
        model.zero_grad()


def test_a_run_is_printed_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    threads = torch.get_num_threads()
    options = ["--preset", "tiny", "--frames", "1", "--height", "4", "--width", "4", "--text-tokens", "2", "--anchors", "1", "2", "--rounds", "2"]
    status = model_cost.main([*options, "--threads", str(threads), "--out", str(tmp_path / "cost.json")])
    figures = json.loads((tmp_path / "cost.json").read_text())
    assert [row["anchors"] for row in figures["costs"]] == [0, 1, 2]
    assert [row["tokens"] for row in figures["costs"]] == [4, 8, 12]
    assert figures["costs"][0]["quotient"] == 1
    assert all(row["seconds"] > 0 and row["peak_gib"] is None and row["peak_share"] > 0 for row in figures["costs"])
    assert status == int(not all(row["met"] for row in figures["costs"]))
    assert figures["setting"]["video"] == [1, 4, 4]
    assert figures["setting"]["peak_source"] == "measured"
    printed = capsys.readouterr().out
    assert "quotient" in printed
    assert "TFLOP/s (measured)" in printed


def test_the_peak_is_the_given_one_the_data_sheets_or_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_cost, "measured_flops", lambda *_: 5e9)
    monkeypatch.setattr(model_cost, "device_name", lambda device: {"cuda": "NVIDIA H200", "cuda:1": "Other"}.get(device, device))
    assert model_cost.peak("cuda", torch.bfloat16) == (989.4e12, "data sheet")
    assert model_cost.peak("cuda", torch.bfloat16, 800.0) == (800e12, "given")
    for device, dtype in (("cuda", torch.float32), ("cuda:1", torch.bfloat16), ("cpu", torch.float32)):
        assert model_cost.peak(device, dtype) == (5e9, "measured")


def test_operations_are_counted_without_a_step(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(model_cost, "timed", None)  # nobody measures
    options = ["--count", "tiny", "--frames", "1", "--height", "4", "--width", "6", "--anchors", "0", "2", "--threads", str(torch.get_num_threads())]
    assert model_cost.main(options) == 0
    printed = capsys.readouterr().out
    config = model_cost.build(Setting("tiny", (1, 4, 6), "meta")).config
    for anchors in (0, 2):
        counted = forward_flops(config, (1, 4, 6), anchors)
        row = next(line for line in printed.splitlines() if line.startswith(f"│       {anchors} "))
        assert f" {counted.total / 1e12:.4g} " in row
        assert f" {counted.training() / 1e12:.4g} " in row
    monkeypatch.setattr(model_cost, "seen_flops", lambda *_: 1)
    assert model_cost.main(options) == 1
