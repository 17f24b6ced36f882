from training.learned import Seen


def test_every_step_begins_with_nothing_seen() -> None:
    first = Seen()
    first.keys.append("a")
    assert Seen().keys == Seen().losses == Seen().weights == Seen().skipped == []
