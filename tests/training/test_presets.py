import pytest
import tyro

from schemas.yaml_options import OptionsError
from training.optimizer import check_optimizer
from training.options import TrainingOptions
from training.presets import PRESETS, preset

STAGES = ("stage_1_audio", "stage_2_global", "stage_3_viewpoint_expression")
GIVEN = ["--shards", "a", "--out", "b", "--from-checkpoint", "c"]


def parsed(name: str, *words: str) -> TrainingOptions:
    return tyro.cli(TrainingOptions, default=preset(name), args=[*GIVEN, *words])


@pytest.mark.parametrize("name", list(PRESETS))
def test_each_can_be_said_and_says_its_name(name: str) -> None:
    options = parsed(name)
    assert (options.preset, options.shards, options.out, options.from_checkpoint) == (name, ("a",), "b", "c")
    check_optimizer(options.optimizer)


def test_where_things_are_is_for_the_user_to_say(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        tyro.cli(TrainingOptions, default=preset("tiny"), args=[])
    told = capsys.readouterr().err
    assert all(word in told for word in ("--shards", "--out", "--from-checkpoint"))


def test_what_is_said_wins() -> None:
    options = parsed("tiny", "--optimizer.rate", "0.5")
    assert options.optimizer.rate == 0.5
    assert options.optimizer.warmup == preset("tiny").optimizer.warmup


def test_the_first_stage_changes_only_what_the_network_did_not_have() -> None:
    first = preset(STAGES[0])
    assert first.trained == ("audio",)
    assert first.superset.kinds == ()
    assert first.superset.count_weights == (1.0,)


def test_the_others_train_what_anchors_act_on_and_keep_sound() -> None:
    for stage in STAGES[1:]:
        assert set(preset(stage).trained) == {"audio", "self_attention", "feed_forward"}


def test_each_stage_knows_the_anchors_of_the_one_before() -> None:
    kinds = [set(preset(stage).superset.kinds) for stage in STAGES]
    assert kinds[0] < kinds[1] < kinds[2]


def test_a_preset_that_there_is_not() -> None:
    with pytest.raises(OptionsError, match="there is no preset 'large'; there are plain, tiny, stage_1_audio"):
        preset("large")
