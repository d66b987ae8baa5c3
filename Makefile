# Sóng và máy tính cho em. `make` alone lists what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help run test lint fix bench drill lock reset

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Certificates of the system too: some networks put their own in front of every registry.
export UV_SYSTEM_CERTS := 1
export PYTHONUTF8 := 1
# Whatever the caller has set: without compiled files each of the many processes compiles some 2,200 modules anew.
export PYTHONDONTWRITEBYTECODE :=
COMPILE = $(BIN)/uv pip compile pyproject.toml --universal --generate-hashes --python-version 3.11 --no-header --no-annotate \
  --no-emit-index-url --quiet

help: ## liệt kê các lệnh này
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "  make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(READY) ## chạy bản trình diễn: cơ sở dữ liệu, số liệu, web, tác vụ nền (PORT=8000; Ctrl-C để dừng)
	@exec $(BIN)/python -m sms_program.run

# loadgroup without groups: one test at a time to whichever runner is free, in the order that tests/conftest.py gives.
test: $(READY) ## chạy mọi kiểm thử, kể cả với trình duyệt thật
	@$(BIN)/python -m tests.browser.setup
	@$(BIN)/python -m common.pg with -- sh -c '$(BIN)/python manage.py migrate -v 0 && \
	  TEST_DB_TEMPLATE=sms_program exec $(BIN)/python -m pytest -n 2 --dist loadgroup -q $(ARGS)'

lint: $(READY) ## kiểm tra mã: định dạng, kiểu, các tầng, bản mẫu, migration, cấu hình production
	@./.ci/lint $(BIN)

fix: $(READY) ## tự sửa định dạng của mã và bản mẫu
	@$(BIN)/ruff check --fix -q . ; $(BIN)/ruff format -q . ; git ls-files 'templates/*.html' '*/templates/*.html' | xargs -r $(BIN)/djade --target-version 5.2 ; true

bench: $(READY) ## đo tốc độ: bộ phân bổ, danh sách, sổ cái, trang thiết bị (ARGS="allocation.engine --quick")
	@$(BIN)/python -m common.pg with -- $(BIN)/python -m bench $(ARGS)

drill: $(READY) ## diễn tập sự cố: giết tiến trình, mất hàng đợi, khôi phục bản sao lưu (ARGS=restore)
	@$(BIN)/python -m common.pg with -- $(BIN)/python -m drills $(ARGS)

lock: $(READY) ## ghim lại phiên bản các gói theo pyproject.toml
	@$(COMPILE) --group demo --group dev -o requirements.lock
	@$(COMPILE) --constraints requirements.lock -o requirements-production.lock

reset: ## xóa môi trường và mọi dữ liệu của bản trình diễn trên máy này (cả khóa và sổ cái)
	@if [ -x $(BIN)/python ] && [ -e $(READY) ]; then $(BIN)/python -m common.pg drop || exit 1; fi
	@rm -rf $(VENV) var

$(READY): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Cần Python 3.11 trở lên (PYTHON=/đường/dẫn/python3 make …)."; exit 1; }
	@echo "Chuẩn bị môi trường Python trong $(VENV) (lần đầu tải khoảng 300 MB)…"
	@test -x $(BIN)/pip || $(PYTHON) -m venv --clear $(VENV) 2>/dev/null || { \
	  [ "$$(id -u)" != 0 ] || { apt-get install -y -q python3-venv || { apt-get update -q && apt-get install -y -q python3-venv; }; } >/dev/null 2>&1; \
	  $(PYTHON) -m venv --clear $(VENV) >/dev/null 2>&1; } || { \
	  echo "Không tạo được môi trường Python trong $(VENV). Thường là thiếu mô-đun venv (Debian, Ubuntu: sudo apt install python3-venv)"; \
	  echo "hoặc hết chỗ trên đĩa; lệnh này nói rõ: $(PYTHON) -m venv $(VENV)"; exit 1; }
	@awk '/^uv==/{on=1} /^[a-z]/&&!/^uv==/{on=0} on' requirements.lock > $(VENV)/uv.txt
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r $(VENV)/uv.txt
	@$(BIN)/uv pip sync -q --python $(BIN)/python --require-hashes requirements.lock
	@touch $(READY)
