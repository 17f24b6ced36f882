# Two commands matter on a fresh clone: `make demo` and `make test`. Both set everything up first.

PYTHON ?= python3
BIN := .venv/bin
OUT ?= demo-output

DEMO_MEDIA := cry_to_laugh single_face face_then_no_face single_person_cam02 single_person_cam03 single_person_cam04 multi_person_cam01 multi_person_cam02 walker no_face
# The people of some samples are seen from behind only: let their bodies be characters too. There is no judge: pack what waits for one.
DEMO_OPTIONS := --select.characters.faceless-bodies 6 --select.quality.min-person-height 0.25 --pack.include-pending
# The one character whose clips the demo packs. With so few nobody is held out. They have no captions: a prompt without words is what the network knows.
DEMO_CHARACTER := 888ba95c40e93103-c00
DEMO_TRAINING := --steps 400 --batch.size 3 --batch.micro 3 --loss.drop-audio 0.5 --validation.share 0 --validation.every 100
DEMO_VIDEO := --prompt . --size.seconds 4 --restart

.PHONY: demo demo-train test check format accuracy test-cluster test-jobs test-training test-vllm test-long-video help

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

demo: .venv/ready ## run the whole pipeline on sample videos that ship in Python packages; pictures in demo-output/report
	$(BIN)/python -m jobs run --videos $(DEMO_MEDIA:%=asset:%) $(DEMO_OPTIONS) --out $(OUT)

demo-train: .venv/ready ## train the tiny network on the demo's shards for some minutes, and make a small, blurred video of its character
	test -e $(OUT)/shards/index.parquet || $(MAKE) demo
	test -e $(OUT)/tiny || $(BIN)/python -m model init --out $(OUT)/tiny
	$(BIN)/python -m training --preset tiny --shards $(OUT)/shards --from-checkpoint $(OUT)/tiny $(DEMO_TRAINING) --out $(OUT)/training
	test -e $(OUT)/character.parquet || $(BIN)/python -m jobs anchors --out $(OUT) --include-pending --character $(DEMO_CHARACTER) --to $(OUT)/character.parquet
	$(BIN)/python -m model generate --checkpoint $(OUT)/training/model --anchors $(OUT)/character.parquet $(DEMO_VIDEO) --out $(OUT)/generated.mp4

test: .venv/ready ## the test suite
	$(BIN)/python -m pytest

check: .venv/ready ## style, types, floors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_floors.py

format: .venv/ready ## rewrite the code in the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test-cluster: .venv/ready ## `ray start --head` + `ray job submit` against a local run, compared row by row
	$(BIN)/python -m pytest tests/cluster

test-jobs: .venv/ready ## refine and encode as whole jobs, killed and gone on with; about 3 minutes on two cores
	$(BIN)/python -m pytest tests/job_runs

test-training: .venv/ready ## whole trainings on one rank and several, killed and gone on with, and what goes wrong; some minutes on two cores
	$(BIN)/python -m pytest tests/training_runs -s

test-vllm: .venv/ready .venv-vllm/ready ## `refine` against a real vLLM server on the CPU, killed half-way; 6 minutes on two cores, 9 the first time
	$(BIN)/python -m pytest tests/vllm

test-long-video: .venv/ready ## ten minutes of video on the CPU: exact, killed and gone on with, flat memory; about 10 minutes on two cores
	$(BIN)/python -m pytest tests/long_video -s

accuracy: .venv/ready ## accuracy on labelled data: make accuracy DATA=FOLDER
	$(BIN)/python -m benchmarks.accuracy --data $(DATA)

# mediapipe and scenedetect bring desktop builds of OpenCV, which need libGL on the system. All builds unpack into the same
# folder, so the headless one is put there last.
HEADLESS := --force-reinstall --no-deps opencv-python-headless

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --build-constraint constraints.txt --editable '.[test]'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt $(HEADLESS)
	touch $@

# vLLM wants other versions of nearly everything, so it has an environment of its own, which only tests start a server in.
.venv-vllm/ready: constraints-vllm.txt tests/vllm/patch_torchvision.py
	$(PYTHON) -m venv --clear .venv-vllm
	.venv-vllm/bin/python -m pip install --quiet --no-deps --requirement constraints-vllm.txt
	.venv-vllm/bin/python tests/vllm/patch_torchvision.py
	touch $@
