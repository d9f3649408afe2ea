# ---- The CUDA back-end: a plug-in, built where nvcc is; NVCC= (empty) leaves it out. Nothing else
# needs the toolkit, and the plug-in needs no toolkit to run.
NVCC      ?= $(firstword $(shell command -v nvcc 2>/dev/null) $(wildcard /usr/local/cuda/bin/nvcc))
CUDA_HOME ?= $(patsubst %/bin/nvcc,%,$(realpath $(NVCC)))
# SASS for A100 and H100, PTX for newer chips and for softgpu. While writing kernels:
# CUDA_CODE=-gencode=arch=compute_80,code=compute_80 is three times as quick.
CUDA_CODE ?= -gencode=arch=compute_80,code=[sm_80,compute_80] -gencode=arch=compute_90a,code=sm_90a
# NOUN_hopper.cu runs on H100 only; its PTX is for softgpu.
CUDA_CODE_hopper := -gencode=arch=compute_90a,code=[sm_90a,compute_90a]
CUDA_FLAGS := -std=c++17 -O3 -lineinfo -Werror all-warnings -I.

SOURCES_plugin := $(wildcard kernels/cuda/*.c)
# Stateless helpers of the rooms below; the plug-in takes of them what it uses.
SOURCES_shared := kernels/core/tensor.c kernels/core/rng.c kernels/row.c $(wildcard kernels/*_check.c)
SOURCES_cu     := $(wildcard kernels/cuda/*.cu)
# The same for every BUILD: nvcc is slow.
CUDA           := $(O)/cuda
IMAGES         := $(SOURCES_cu:kernels/cuda/%.cu=$(CUDA)/%.image.o)
PLUGIN         := $(BIN)/libmotet_cuda.so
pic             = $(patsubst %.c,$(VARIANT)/pic/%.o,$(1))

ifneq ($(NVCC),)
all: $(PLUGIN)
.PHONY: plugin
plugin: $(PLUGIN) ## the CUDA back-end, build/bin/libmotet_cuda.so
else
PLUGIN  :=
endif

# cuda.h is seen by those who call the driver, and by those who play it.
$(VARIANT)/pic/kernels/cuda/%.o: FLAGS_here = -isystem $(CUDA_HOME)/include
$(VARIANT)/tests/softgpu/driver_%.o $(VARIANT)/tests/softgpu/test_driver.o: FLAGS_here = -fPIC -ffp-contract=off -isystem $(CUDA_HOME)/include
$(VARIANT)/pic/%.o: %.c $(VARIANT)/flags
	$(call say,CC)
	@mkdir -p $(@D)
	$(Q)$(CC) $(FLAGS) -fPIC $(WARN) $(FLAGS_here) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

$(CUDA)/flags: FORCE
	@$(call remember,$(NVCC) $(CUDA_FLAGS) $(CUDA_CODE))

# What ptxas says of registers, spills and shared memory stays beside the fatbin.
$(CUDA)/%.fatbin: kernels/cuda/%.cu $(CUDA)/flags
	$(call say,NVCC)
	@mkdir -p $(@D)
	$(Q)$(NVCC) $(CUDA_FLAGS) $(if $(filter %_hopper,$*),$(CUDA_CODE_hopper),$(CUDA_CODE)) --resource-usage -MD -MP -MF $(@:.fatbin=.d) -MT $@ -fatbin $< -o $@ \
	    >$(@:.fatbin=.ptxas.txt) 2>&1 || { cat $(@:.fatbin=.ptxas.txt) >&2; rm -f $@; exit 1; }

$(CUDA)/%.image.o: $(CUDA)/%.fatbin
	$(Q)printf '%s\n' '.section .rodata' '.balign 64' '.hidden motet_cuda_image_$*' \
	    '.global motet_cuda_image_$*' '.type motet_cuda_image_$*, @object' 'motet_cuda_image_$*:' \
	    '.incbin "$<"' '.size motet_cuda_image_$*, .-motet_cuda_image_$*' \
	    '.section .note.GNU-stack,"",@progbits' | $(CC) -x assembler -c - -o $@
.SECONDARY: $(IMAGES) $(IMAGES:.image.o=.fatbin)

$(VARIANT)/plugin.sources: FORCE
	@$(call remember,$(SOURCES_plugin) $(SOURCES_shared) $(SOURCES_cu))
$(VARIANT)/libmotet_shared.a: $(call pic,$(SOURCES_shared))
	@rm -f $@
	$(Q)ar rcs $@ $^
$(BIN)/libmotet_cuda.so: $(call pic,$(SOURCES_plugin)) $(IMAGES) $(VARIANT)/libmotet_shared.a $(VARIANT)/plugin.sources
	$(call say,LD)
	@mkdir -p $(@D)
	$(Q)$(LINK) -shared -Wl,-z,defs -Wl,-soname,libmotet_cuda.so $(filter %.o,$^) $(filter %.a,$^) -lm -ldl $(LDLIBS) -o $@

# The plug-in's own parts, without the ops: against softgpu (MOTET_CUDA_DRIVER) or a GPU.
plugin_core := $(call pic,$(addprefix kernels/cuda/,host_status.c driver.c device.c complaint.c memory.c launch.c graph.c))
$(VARIANT)/tests/device/test_plugin: $(VARIANT)/tests/device/test_plugin.o $(plugin_core)
	$(call say,LD)
	$(Q)$(LINK) $^ -lcmocka -lm -ldl $(LDLIBS) -o $@

# What describes attention to cuDNN, and the driver that lets cuDNN compile without a GPU.
FAKE_DRIVER := $(VARIANT)/tests/device/libcuda.so.1
$(VARIANT)/tests/device/test_cudnn.o: FLAGS_here = -isystem $(CUDA_HOME)/include -DFAKE_DRIVER='"$(FAKE_DRIVER)"'
$(VARIANT)/tests/device/fake_driver.o: FLAGS_here = -fPIC -fvisibility=default -fno-sanitize=all
$(FAKE_DRIVER): $(VARIANT)/tests/device/fake_driver.o
	$(call say,LD)
	$(Q)$(CC) -shared -Wl,-soname,libcuda.so.1 -Wl,-z,defs $^ -o $@
$(VARIANT)/tests/device/test_cudnn: $(VARIANT)/tests/device/test_cudnn.o $(call pic,$(addprefix kernels/cuda/cudnn_,graph.c plan.c library.c)) $(L_kernels) | $(FAKE_DRIVER)
	$(call say,LD)
	$(Q)$(LINK) $^ $(D_kernels) -lcmocka -lm -ldl $(LDLIBS) -o $@
$(VARIANT)/tests/device/test_cudnn_prepare: $(VARIANT)/tests/device/test_cudnn_prepare.o $(filter-out %/host_status.o,$(plugin_core)) $(CUDA)/cudnn.image.o $(L_kernels)
	$(call say,LD)
	$(Q)$(LINK) $^ $(D_kernels) -lcmocka -lm -ldl $(LDLIBS) -o $@

-include $(wildcard $(CUDA)/*.d)
