import numpy as np

from pipeline.characters import CharacterOptions, Characters, assign_characters, simultaneous_tracks
from pipeline.observations import Observations
from schemas.vocabulary import RejectReason
from tests.pipeline.drawn_observations import DrawnVideo, face_vector


def assign(video: DrawnVideo, options: CharacterOptions | None = None) -> tuple[dict[str, int], dict[str, RejectReason | None], Characters]:
    seen = Observations.from_table(video.observations_table)
    characters = assign_characters(seen, options)
    return dict(zip(seen.track_ids, characters.of_track.tolist(), strict=True)), dict(zip(seen.track_ids, characters.reasons, strict=True)), characters


def test_people_are_joined_across_shots_and_segments_the_most_visible_first() -> None:
    video = DrawnVideo()
    truth = {}
    for number, person in enumerate([0, 1, 1, 0, 1, 2]):
        shot = video.shot(number * 4, number * 4 + 4, segment=number // 3)
        truth[video.appear(shot, person, cosine=0.75)] = {1: 0, 0: 1, 2: 2}[person]
    of_track, reasons, characters = assign(video)
    assert of_track == truth
    assert set(reasons.values()) == {None}
    assert len(characters) == 3
    np.testing.assert_allclose(characters.purity, 1)
    np.testing.assert_allclose(characters.cohesion, 0.75, atol=0.03)
    for number, person in enumerate([1, 0, 2]):
        assert characters.centroids[number] @ face_vector(person) > 0.97


def test_two_who_look_alike_but_share_a_frame_are_two() -> None:
    video = DrawnVideo()
    shot = video.shot(0, 5)
    first, second = video.appear(shot, 0), video.appear(shot, 0)
    of_track, _, characters = assign(video)
    assert {of_track[first], of_track[second]} == {0, 1}
    assert characters.nearest_other[0] > 0.9


def test_a_track_of_a_back_abstains() -> None:
    video = DrawnVideo()
    shot = video.shot(0, 5)
    video.appear(shot, 0)
    back = video.appear(shot, 1, face=lambda _: False)
    of_track, reasons, characters = assign(video)
    assert of_track[back] == -1
    assert reasons[back] == RejectReason.TOO_FEW_FACES
    assert len(characters) == 1


def test_a_track_of_a_back_is_a_character_of_its_own_when_asked() -> None:
    video = DrawnVideo()
    shot = video.shot(0, 10)
    face = video.appear(shot, 0)
    back = video.appear(shot, 1, face=lambda _: False, end=5)
    passer = video.appear(shot, 2, face=lambda _: False, end=1)
    characters = assign_characters(Observations.from_table(video.observations_table), CharacterOptions(faceless_bodies=6))
    assert dict(zip([face, back, passer], characters.of_track.tolist(), strict=True)) == {face: 0, back: 1, passer: -1}
    assert np.isnan([characters.purity[1], characters.cohesion[1], characters.nearest_other[0], characters.nearest_other[1], characters.similarity[1]]).all()
    assert characters.purity[0] == 1


def test_a_short_track_joins_whom_it_resembles_and_founds_nobody() -> None:
    video = DrawnVideo()
    video.appear(video.shot(0, 5), 0)
    glimpse = video.appear(video.shot(5, 5.5), 0, cosine=0.8)
    stranger = video.appear(video.shot(6, 6.5), 1)
    passer = video.appear(video.shot(7, 8), 2)
    of_track, reasons, characters = assign(video)
    assert of_track[glimpse] == 0
    for track in (stranger, passer):
        assert (of_track[track], reasons[track]) == (-1, RejectReason.TOO_FEW_FACES)
    assert len(characters) == 1


def test_short_tracks_of_one_person_make_a_character_together() -> None:
    video = DrawnVideo()
    tracks = [video.appear(video.shot(start, start + 1), 0) for start in range(4)]
    assert [assign(video)[0][track] for track in tracks] == [0, 0, 0, 0]


def test_a_glimpse_between_two_people_abstains() -> None:
    video = DrawnVideo()
    video.appear(video.shot(0, 5), 0)
    video.appear(video.shot(5, 10), 1)
    between = (face_vector(0) + face_vector(1)) / np.linalg.norm(face_vector(0) + face_vector(1))
    track = video.appear(video.shot(10, 11), 2, embedding=between, cosine=0.9)
    of_track, reasons, _ = assign(video)
    assert (of_track[track], reasons[track]) == (-1, RejectReason.UNCERTAIN_IDENTITY)


def test_a_track_that_mixes_up_people_abstains() -> None:
    video = DrawnVideo()
    shot = video.shot(0, 8)
    swapped = video.appear(shot, 0, cosine=0.7, end=4)
    for row in list(video.rows):
        video.rows.append(row | {"pts_ns": row["pts_ns"] + 4_000_000_000, "embedding": (-np.array(row["embedding"])[::-1]).tolist()})
    of_track, reasons, _ = assign(video)
    assert (of_track[swapped], reasons[swapped]) == (-1, RejectReason.UNCERTAIN_IDENTITY)


def test_profiles_are_attached_and_do_not_spoil_the_centroid() -> None:
    video = DrawnVideo()
    video.appear(video.shot(0, 5), 0)
    video.appear(video.shot(5, 10), 1)
    blurred = 0.5 * face_vector(0) + np.sqrt(0.75) * face_vector(9)
    profile = video.appear(video.shot(10, 20), 0, yaw=lambda _: 80.0, embedding=blurred / np.linalg.norm(blurred))
    of_track, _, characters = assign(video)
    owner = of_track[profile]
    assert characters.centroids[owner] @ face_vector(0) > 0.9


def test_only_profiles_make_a_character_when_they_cannot_be_anybody_else() -> None:
    alone = DrawnVideo()
    alone.appear(alone.shot(0, 7), 1, yaw=lambda _: 80.0)
    assert len(assign(alone)[2]) == 1
    beside = DrawnVideo()
    shot = beside.shot(0, 7)
    beside.appear(shot, 0, end=6)
    profile = beside.appear(shot, 1, yaw=lambda _: 80.0)
    of_track, _, characters = assign(beside)
    assert len(characters) == 2
    assert of_track[profile] == 0


def test_only_profiles_that_may_be_somebody_known_abstain() -> None:
    video = DrawnVideo()
    video.appear(video.shot(0, 5), 0)
    profile = video.appear(video.shot(5, 12), 1, yaw=lambda _: 80.0)
    of_track, reasons, characters = assign(video)
    assert (of_track[profile], reasons[profile]) == (-1, RejectReason.UNCERTAIN_IDENTITY)
    assert len(characters) == 1


def test_faces_too_small_or_dark_to_read_count_for_nothing() -> None:
    video = DrawnVideo()
    video.appear(video.shot(0, 5), 0, face_pixels=14.0)
    video.appear(video.shot(5, 10), 1, brightness=0.01)
    of_track, reasons, _ = assign(video)
    assert set(of_track.values()) == {-1}
    assert set(reasons.values()) == {RejectReason.TOO_FEW_FACES}


def test_purity_tells_of_a_face_that_is_another_characters() -> None:
    video = DrawnVideo()
    video.appear(video.shot(0, 5), 0)
    video.appear(video.shot(5, 10), 1)
    for row in video.rows[:4]:
        row["embedding"] = face_vector(1).tolist()
    _, _, characters = assign(video)
    np.testing.assert_allclose(sorted(characters.purity), [16 / 20, 1.0])


def test_the_order_of_the_rows_does_not_matter() -> None:
    video = DrawnVideo(seed=5)
    for number in range(12):
        video.appear(video.shot(number * 2, number * 2 + 2), number % 5, cosine=0.7)
    expected, _, _ = assign(video)
    video.rows = [video.rows[row] for row in np.random.default_rng(0).permutation(len(video.rows))]
    assert assign(video)[0] == expected


def test_simultaneous_tracks_are_those_with_faces_in_one_frame() -> None:
    video = DrawnVideo()
    shot = video.shot(0, 4)
    video.appear(shot, 0, end=2)
    video.appear(shot, 1, start=1, end=3)
    video.appear(shot, 2, start=3)
    video.appear(shot, 3, face=lambda _: False)
    pairs = simultaneous_tracks(Observations.from_table(video.observations_table))
    assert pairs.tolist() == [[0, 1]]


def test_nobody() -> None:
    _, _, characters = assign(DrawnVideo())
    assert len(characters) == 0
