# motet: words to music. `make help` lists the targets.

BUILD  ?= release
O      ?= build
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
OPT_asan    := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
ifeq ($(OPT_$(BUILD)),)
$(error BUILD=$(BUILD) is none of release, debug, asan)
endif

WARN  := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla
ifdef CI
WARN  += -Werror
endif
# Ours; CPPFLAGS, CFLAGS, LDFLAGS and LDLIBS are yours and come last.
FLAGS := -I. -D_GNU_SOURCE -std=c11 -g $(OPT_$(BUILD)) -fopenmp -fno-math-errno -fno-trapping-math -fvisibility=hidden
LINK   = $(CC) $(filter -fsanitize%,$(OPT_$(BUILD))) -fopenmp $(CFLAGS) $(LDFLAGS)

# Which room needs which library; the arrows of the rooms are those of the link line.
CFLAGS_data   := $(shell pkg-config --cflags smf 2>/dev/null) $(shell pkg-config --cflags hdf5 2>/dev/null)
LIBS_midi     := $(shell pkg-config --libs smf 2>/dev/null || echo -lsmf) -ljansson -lutf8proc
LIBS_corpus   := $(shell pkg-config --libs hdf5 2>/dev/null || echo -lhdf5)
LIBS_train    := -ldnnl -lmicrohttpd

# A room's library holds its .c files, programs excepted. data/ is two libraries: what motet itself
# needs, and what touches HDF5 (corpus*.c, loader*.c, build*.c), which motet must not link.
PROGRAMS         := motet motet-train motet-data
MAIN_motet       := infer/motet_main.c
MAIN_motet-train := train/train_main.c
MAIN_motet-data  := data/data_main.c $(wildcard data/command_*.c)
MAINS            := $(MAIN_motet) $(MAIN_motet-train) $(MAIN_motet-data)

SOURCES_kernels := $(wildcard kernels/core/*.c kernels/*.c)
SOURCES_corpus  := $(wildcard data/corpus*.c data/loader*.c data/build*.c)
SOURCES_data    := $(filter-out $(MAINS) $(SOURCES_corpus),$(wildcard data/*.c))
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

.PHONY: all help FORCE
all: $(PROGRAMS:%=$(BIN)/%) ## build the three programs into build/bin

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n",$$1,$$2}' $(MAKEFILE_LIST)
	@echo "  make check-NAME       one check of lint: $(LINTS)"
	@echo "  variables: BUILD=release|debug|asan  O=$(O)  PREFIX=$(PREFIX)  DESTDIR=  V=1 shows commands  ONLY=word picks tests"

# One line for each file, whole commands with V=1.
ifneq ($(V),1)
Q := @
say = @echo "  $(1)  $(patsubst $(O)/%,%,$@)"
endif

# What else a file depends on than files (flags, the list of sources): written down where it changed.
quote    = '$(subst ','\'',$(strip $(1)))'
remember = mkdir -p $(@D); printf '%s\n' $(call quote,$(1)) | cmp -s - $@ || printf '%s\n' $(call quote,$(1)) >$@

$(VARIANT)/flags: FORCE
	@$(call remember,$(CC) $(FLAGS) $(CPPFLAGS) $(CFLAGS))
$(VARIANT)/prefix: FORCE
	@$(call remember,$(PREFIX))

$(VARIANT)/%.o: %.c $(VARIANT)/flags
	$(call say,CC)
	@mkdir -p $(@D)
	$(Q)$(CC) $(FLAGS) $(CFLAGS_data) $(WARN) $(FLAGS_here) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

# Where an installed motet finds its model.
$(VARIANT)/infer/motet_main.o: FLAGS_here = -DMOTET_MODEL_DIR='"$(PREFIX)/share/motet"'
$(VARIANT)/infer/motet_main.o: $(VARIANT)/prefix

define room_rule
$(VARIANT)/$(1).sources: FORCE
	@$$(call remember,$(SOURCES_$(1)))
$(call lib,$(1)): $(call objects,$(SOURCES_$(1))) $(VARIANT)/$(1).sources
	$$(call say,AR)
	@rm -f $$@; mkdir -p $$(@D)
	$$(Q)ar rcs $$@ $$(filter %.o,$$^)
endef
$(foreach r,$(ROOMS),$(eval $(call room_rule,$(r))))

# program_rule NAME ROOM: its own objects, then the room's library and those below.
define program_rule
$(BIN)/$(1): $(call objects,$(MAIN_$(1))) $(L_$(2))
	$$(call say,LD)
	@mkdir -p $$(@D)
	$$(Q)$$(LINK) $$^ $(D_$(2)) -lm $$(LDLIBS) -o $$@
endef
$(eval $(call program_rule,motet,infer))
$(eval $(call program_rule,motet-train,train))
$(eval $(call program_rule,motet-data,corpus))

# tests/ROOM/test_*.c: one cmocka program each, linked with its room and those below it.
TESTS := $(filter-out tests/slow/%,$(wildcard tests/*/test_*.c))
test_bin = $(patsubst %.c,$(VARIANT)/%,$(1))
define test_rule
$(VARIANT)/tests/$(1)/test_%: $(VARIANT)/tests/$(1)/test_%.o $(call objects,$(wildcard tests/$(1)/harness*.c tests/harness*.c)) $(L_$(1))
	$$(call say,LD)
	$$(Q)$$(LINK) $$^ $(D_$(1)) -lcmocka -lm $$(LDLIBS) -o $$@
endef
$(foreach r,$(ROOMS),$(eval $(call test_rule,$(r))))
$(VARIANT)/tests/slow/test_%: $(VARIANT)/tests/slow/test_%.o $(call objects,$(wildcard tests/train/harness*.c tests/harness*.c)) $(L_train)
	$(call say,LD)
	$(Q)$(LINK) $^ $(D_train) -lcmocka -lm $(LDLIBS) -o $@
.PRECIOUS: $(VARIANT)/%.o

include kernels/cuda/cuda.mk
include train/mpi/mpi.mk
include tests/nccl/nccl.mk

# softgpu, the tests' GPU: a libcuda.so.1 that runs PTX. Its own tests link it without the driver's names.
SOFTGPU     := $(VARIANT)/tests/softgpu/libcuda.so.1
softgpu_own := $(call objects,$(filter-out $(wildcard tests/softgpu/test_*.c tests/softgpu/harness*.c),$(wildcard tests/softgpu/*.c)))
# Without the toolkit there is no cuda.h for the entry points, and nothing to run.
ifeq ($(NVCC),)
TESTS := $(filter-out tests/softgpu/% tests/device/%,$(TESTS))
endif
$(VARIANT)/tests/softgpu/%.o: FLAGS_here = -fPIC -ffp-contract=off
$(SOFTGPU): $(softgpu_own)
	$(call say,LD)
	$(Q)$(LINK) -shared -Wl,-soname,libcuda.so.1 -Wl,-z,defs -Wl,-z,nodelete $^ -lzstd -lm $(LDLIBS) -o $@
$(VARIANT)/tests/softgpu/test_%: $(VARIANT)/tests/softgpu/test_%.o $(call objects,$(wildcard tests/softgpu/harness*.c)) $(softgpu_own)
	$(call say,LD)
	$(Q)$(LINK) $^ -lzstd -lcmocka -lm $(LDLIBS) -o $@

.PHONY: tests $(ROOMS:%=tests-%)
tests: $(call test_bin,$(TESTS)) $(if $(NVCC),$(SOFTGPU)) $(TEST_NCCL) ## build every test program
$(foreach r,$(ROOMS),$(eval tests-$(r): $(call test_bin,$(wildcard tests/$(r)/test_*.c))))

BENCHES   := $(patsubst tests/bench/%.c,$(BIN)/%,$(wildcard tests/bench/bench_*.c))
bench_cases := $(call objects,$(addprefix tests/bench/,kernel_cases.c kernel_cases_attention.c case_tensors.c))
$(BIN)/profile_kernels $(BIN)/bench_device: $(BIN)/%: $(VARIANT)/tests/bench/%.o $(bench_cases) $(L_kernels)
	$(call say,LD)
	@mkdir -p $(@D)
	$(Q)$(LINK) $^ -lm $(LDLIBS) -o $@
$(BIN)/bench_%: $(VARIANT)/tests/bench/bench_%.o $(L_train)
	$(call say,LD)
	@mkdir -p $(@D)
	$(Q)$(LINK) $^ $(D_train) -lm $(LDLIBS) -o $@

.PHONY: benches
benches: $(BENCHES) ## build every bench program

# Waiting threads sleep: a spinning one steals the core that its sibling needs where others work too.
export OMP_WAIT_POLICY ?= passive
SECONDS   ?= 60
ONLY      ?=
# Kept from make and the shell: a prompt may hold any character.
PROMPT    ?= a cheerful jig in D major for flute and guitar
override PROMPT := $(value PROMPT)
export PROMPT
LINTS     := format tidy layers headers banned lean

# What needs packages is made by a second make, which finds them; on all cores unless -j was given.
again = $(MAKE) --no-print-directory $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))

.PHONY: run test test-softgpu test-mutants profile-kernels test-slow soak bench fuzz lint $(LINTS:%=check-%) install clean
run: ## install what is missing, build, and write PROMPT="..." as a .mid here
	@scripts/install_deps.sh run
	@$(again) $(BIN)/motet
	@MOTET_MODEL="$${MOTET_MODEL:-infer/pretrained/motet-mini.safetensors}" $(BIN)/motet "$$PROMPT"

test: ## install what is missing, build and run every test
	@scripts/install_deps.sh test
	@scripts/fetch_encoder.sh
	@$(again) all tests
	@scripts/run_tests.sh $(VARIANT) $(BIN) $(ONLY)

test-softgpu: ## the CUDA back-end over softgpu: every op, three schedules, all checks
	@scripts/install_deps.sh test
	@scripts/fetch_encoder.sh
	@$(again) all tests $(SOFTGPU)
	@DEVICE=softgpu scripts/run_tests.sh $(VARIANT) $(BIN) $(ONLY)

KERNEL ?=
test-mutants: ## plant every fault into every kernel (KERNEL=regex picks), and see that tests notice: hours
	@scripts/install_deps.sh test
	@$(again) all tests-kernels $(SOFTGPU)
	@python3 -B tests/softgpu/mutants.py --tests $(VARIANT)/tests/kernels --softgpu $(dir $(SOFTGPU)) --plugin $(PLUGIN) --kernel '$(KERNEL)'

profile-kernels: ## what each kernel does at the model's shapes, counted on softgpu
	@scripts/install_deps.sh test
	@$(again) all $(BIN)/profile_kernels $(SOFTGPU)
	@python3 -B scripts/profile_kernels.py --bin $(BIN) --softgpu $(dir $(SOFTGPU)) --ptxas $(CUDA)

test-slow: ## what takes longer: CUTLASS and CUB, and the mini model, on softgpu; a thousand pieces
	@scripts/install_deps.sh test
	@$(again) all $(BIN)/profile_kernels $(SOFTGPU) $(call test_bin,$(wildcard tests/slow/test_*.c))
	@tests/softgpu/peers/run.sh $(NVCC) $(VARIANT)/tests/softgpu $(O)/peers $(BIN)
	@DEVICE=softgpu SEEDS=1 SOFTGPU_CHECK=bounds scripts/run_tests.sh $(VARIANT) $(BIN) slow/
	@MOTET_MODEL="$${MOTET_MODEL:-infer/pretrained/motet-mini.safetensors}" /usr/bin/python3 -B scripts/thousand_pieces.py --motet $(BIN)/motet --motet-data $(BIN)/motet-data 1000

soak: ## kill -9 at 100 moments of a run, and ranks that hang or never come at their own time-outs
	@scripts/install_deps.sh test
	@$(again) all
	@MOTET_KILLS=100 MOTET_SOAK=1 scripts/run_tests.sh $(VARIANT) $(BIN) scripts/test_crash

bench: ## speed beside the peers; TORCH_PYTHON=python with torch adds PyTorch
	@scripts/install_deps.sh test
	@$(again) all $(BENCHES)
	@scripts/bench.sh $(BIN)

fuzz: ## fuzz the MIDI and safetensors readers for SECONDS=60
	@scripts/install_deps.sh fuzz
	@scripts/fuzz.sh $(VARIANT) $(SECONDS)

lint: ## format, tidy, layers, headers, banned functions, lean binary
	@scripts/install_deps.sh lint
	@$(again) $(BIN)/motet
	@scripts/lint.sh $(BIN)/motet

$(filter-out check-lean,$(LINTS:%=check-%)): check-%:
	@scripts/install_deps.sh lint
	@scripts/lint.sh $(BIN)/motet $*
check-lean:
	@scripts/install_deps.sh lint
	@$(again) $(BIN)/motet
	@scripts/lint.sh $(BIN)/motet lean

install: $(PROGRAMS:%=$(BIN)/%) ## PROGRAMS, model and licence into PREFIX, below DESTDIR
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/motet
	install $^ $(DESTDIR)$(PREFIX)/bin
	install -m 644 $(wildcard infer/pretrained/*.safetensors) LICENSE $(DESTDIR)$(PREFIX)/share/motet
ifneq ($(PLUGIN)$(MPI_PLUGIN),)
	@$(again) $(PLUGIN) $(MPI_PLUGIN)
	install -d $(DESTDIR)$(PREFIX)/lib/motet
	install $(PLUGIN) $(MPI_PLUGIN) $(DESTDIR)$(PREFIX)/lib/motet
endif

clean: ## remove what was built
	rm -rf $(O)

-include $(shell find $(VARIANT) -name '*.d' 2>/dev/null)
