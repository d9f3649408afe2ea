# motet: words to music. `make help` lists the targets.

BUILD ?= release
O     ?= build
PREFIX ?= /usr/local
ifeq ($(origin CC),default)
CC := gcc
endif

VARIANT := $(O)/$(BUILD)
BIN     := $(O)/bin
ifneq ($(BUILD),release)
BIN     := $(VARIANT)/bin
endif

OPT_release := -O3 -DNDEBUG
OPT_debug   := -O1 -g3
OPT_asan    := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
ifeq ($(OPT_$(BUILD)),)
$(error BUILD=$(BUILD) is none of release, debug, asan)
endif

WARN     := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla
ifdef CI
WARN     += -Werror
endif
CPPFLAGS += -I. -D_GNU_SOURCE -DMOTET_MODEL_DIR='"$(PREFIX)/share/motet"'
CFLAGS   += -std=c11 -g $(OPT_$(BUILD)) $(WARN) -fopenmp -fno-math-errno -fno-trapping-math -fvisibility=hidden
LDFLAGS  += $(filter -fsanitize% -fno-omit%,$(OPT_$(BUILD))) -fopenmp
LDLIBS   := -lm

# Which room needs which library; the arrows of the rooms are those of the link line.
CFLAGS_data   := $(shell pkg-config --cflags smf 2>/dev/null) $(shell pkg-config --cflags hdf5 2>/dev/null)
LIBS_midi     := $(shell pkg-config --libs smf 2>/dev/null || echo -lsmf) -ljansson -lutf8proc
LIBS_corpus   := $(shell pkg-config --libs hdf5 2>/dev/null || echo -lhdf5)
LIBS_train    := -ldnnl

# A room's library holds its .c files, programs excepted. data/ is two libraries: what motet itself
# needs, and what touches HDF5 (corpus*.c, loader*.c), which motet must not link.
PROGRAMS      := motet motet-train motet-data
MAIN_motet       := infer/motet_main.c
MAIN_motet-train := train/train_main.c
MAIN_motet-data  := data/data_main.c
MAINS         := $(foreach p,$(PROGRAMS),$(MAIN_$(p)))

SOURCES_kernels := $(wildcard kernels/core/*.c kernels/*.c)
SOURCES_corpus  := $(filter-out $(MAINS),$(wildcard data/corpus*.c data/loader*.c data/build*.c))
SOURCES_data    := $(filter-out $(MAINS) $(SOURCES_corpus) $(wildcard data/command_*.c),$(wildcard data/*.c))
SOURCES_configs := $(wildcard configs/*.c)
SOURCES_infer   := $(filter-out $(MAINS),$(wildcard infer/*.c))
SOURCES_train   := $(filter-out $(MAINS),$(wildcard train/*.c))
ROOMS           := kernels data corpus configs infer train

lib      = $(VARIANT)/libmotet_$(1).a
objects  = $(patsubst %.c,$(VARIANT)/%.o,$(1))

L_kernels := $(call lib,kernels)
L_data    := $(call lib,data) $(L_kernels)
L_corpus  := $(call lib,corpus) $(L_data)
L_configs := $(call lib,configs) $(L_kernels)
L_infer   := $(call lib,infer) $(call lib,configs) $(L_data)
L_train   := $(call lib,train) $(call lib,infer) $(call lib,configs) $(L_corpus)
D_kernels :=
D_data    := $(LIBS_midi)
D_corpus  := $(LIBS_corpus) $(LIBS_midi)
D_configs :=
D_infer   := $(LIBS_midi)
D_train   := $(LIBS_train) $(LIBS_corpus) $(LIBS_midi)

.PHONY: all help
all: $(PROGRAMS:%=$(BIN)/%) ## build the three programs into build/bin

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n",$$1,$$2}' $(MAKEFILE_LIST)
	@echo "  variables: BUILD=release|debug|asan  O=$(O)  PREFIX=/usr/local  DESTDIR="

$(VARIANT)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS_data) $(CFLAGS) -MMD -MP -c $< -o $@

define room_rule
$(call lib,$(1)): $(call objects,$(SOURCES_$(1)))
	@rm -f $$@; mkdir -p $$(@D)
	ar rcs $$@ $$^
endef
$(foreach r,$(ROOMS),$(eval $(call room_rule,$(r))))

$(BIN)/motet: $(call objects,$(MAIN_motet)) $(L_infer)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $^ $(D_infer) $(LDLIBS) -o $@
$(BIN)/motet-train: $(call objects,$(MAIN_motet-train)) $(L_train)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $^ $(D_train) $(LDLIBS) -o $@
$(BIN)/motet-data: $(call objects,$(MAIN_motet-data) $(wildcard data/command_*.c)) $(L_corpus)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $^ $(D_corpus) $(LDLIBS) -o $@

# tests/ROOM/test_*.c: one cmocka program each, linked with its room and those below it.
TESTS := $(wildcard tests/*/test_*.c)
test_bin = $(patsubst %.c,$(VARIANT)/%,$(1))
define test_rule
$(VARIANT)/tests/$(1)/test_%: $(VARIANT)/tests/$(1)/test_%.o $(call objects,$(wildcard tests/$(1)/harness*.c tests/harness*.c)) $(L_$(1))
	$(CC) $(LDFLAGS) $$^ $(D_$(1)) -lcmocka $(LDLIBS) -o $$@
endef
$(foreach r,$(ROOMS),$(eval $(call test_rule,$(r))))
.PRECIOUS: $(VARIANT)/%.o

.PHONY: tests $(ROOMS:%=tests-%)
tests: $(call test_bin,$(TESTS)) ## build every test program
$(foreach r,$(ROOMS),$(eval tests-$(r): $(call test_bin,$(wildcard tests/$(r)/test_*.c))))

BENCHES   := $(patsubst tests/bench/%.c,$(BIN)/%,$(wildcard tests/bench/bench_*.c))
$(BIN)/bench_%: $(VARIANT)/tests/bench/bench_%.o $(L_train)
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) $^ $(D_train) $(LDLIBS) -o $@

# Waiting threads sleep: a spinning one steals the core that its sibling needs where others work too.
export OMP_WAIT_POLICY ?= passive
PROMPT    ?= a cheerful jig in D major for flute and guitar
SECONDS   ?= 60

.PHONY: run test test-slow bench fuzz lint install clean
run: ## install what is missing, build, and write PROMPT="..." as a .mid here
	@scripts/install_deps.sh run
	@$(MAKE) --no-print-directory $(BIN)/motet
	@$(BIN)/motet "$(PROMPT)"

test: ## install what is missing, build and run every test
	@scripts/install_deps.sh test
	@scripts/fetch_encoder.sh
	@$(MAKE) --no-print-directory all tests
	@scripts/run_tests.sh $(VARIANT) $(BIN)

test-slow: ## what takes longer: a thousand generated pieces
	@$(MAKE) --no-print-directory all
	python3 -B scripts/thousand_pieces.py --motet $(BIN)/motet --motet-data $(BIN)/motet-data 1000

bench: ## speed beside the peers; TORCH_PYTHON=python with torch adds PyTorch
	@$(MAKE) --no-print-directory all $(BENCHES)
	@scripts/bench.sh $(BIN)

fuzz: ## fuzz the MIDI and safetensors readers for SECONDS=60
	@scripts/install_deps.sh fuzz
	@scripts/fuzz.sh $(VARIANT) $(SECONDS)

lint: ## format, tidy, layers, headers, banned functions, lean binary
	@scripts/install_deps.sh lint
	@$(MAKE) --no-print-directory $(BIN)/motet
	@scripts/lint.sh $(BIN)/motet

install: all ## into PREFIX, below DESTDIR
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/motet
	install $(PROGRAMS:%=$(BIN)/%) $(DESTDIR)$(PREFIX)/bin
	install -m 644 infer/pretrained/*.safetensors LICENSE $(DESTDIR)$(PREFIX)/share/motet

clean: ## remove what was built
	rm -rf $(O)

-include $(shell find $(VARIANT) -name '*.d' 2>/dev/null)
