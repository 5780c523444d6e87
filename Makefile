# Two commands matter: `make quickstart` and `make test`. Both install what they need into .venv.
VENV ?= .venv
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(shell command -v $(name))))
BIN := $(VENV)/bin
# nvidia-pytriton brings a tritonserver that runs on any CPU; its own pins (numpy < 2) must not hold for us.
TRITON := nvidia-pytriton==0.7.0
OUT := out/mnist-cnn

.PHONY: install rivals quickstart recipes bindings test lint types unit format clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "optkit needs Python 3.11 or newer; say make PYTHON=...")'
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || .ci/apt python3-venv
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[images,tables,triton]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps $(TRITON)
	@touch $@

# What only tests and further recipes need.
$(VENV)/.complete: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[huggingface,inc,metrics,openvino,rtx,dev]'
	@touch $@

# The server's Python backend is linked against libpython, which a bare machine may lack.
$(VENV)/.libpython: $(VENV)/.installed
	@$(BIN)/python .ci/libpython.py || .ci/apt libpython$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
	@touch $@

# What benchmarks compare with; it would not fit beside optkit's own pins.
rivals: .venv-rivals/.installed

.venv-rivals/.installed: benchmarks/rivals.txt
	$(PYTHON) -m venv .venv-rivals
	.venv-rivals/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/rivals.txt
	@touch $@

quickstart: install $(VENV)/.libpython
	$(BIN)/optkit optimize recipes/mnist/recipe.yaml -o $(OUT)
	$(BIN)/optkit verify $(OUT)
	@echo "Triton model repository: $(CURDIR)/$(OUT)/triton"

# Models and data that recipes name but do not carry: 310 MB of downloads, 300 MB of disk. A second run does nothing.
recipes: $(VENV)/.complete
	@$(BIN)/python recipes/install.py

# The real Python bindings of both majors of TensorRT, 1.3 MB each: tests hold our calls against them.
bindings: .bindings/.installed

.bindings/.installed: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target .bindings/10 tensorrt-cu13-bindings==10.16.1.11
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target .bindings/11 tensorrt-cu13-bindings==11.4.0.106
	@touch $@

test: lint types unit

lint: $(VENV)/.complete
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.complete
	$(BIN)/mypy

unit: recipes bindings $(VENV)/.libpython
	$(BIN)/python -m pytest -n 2 --dist worksteal

format: $(VENV)/.complete
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) out .mypy_cache .ruff_cache .pytest_cache .hypothesis
