# ---- NCCL in the tests: a libnccl.so.2 between processes of this machine, on softgpu's memory; built where the
# toolkit brings nccl.h.
NCCL_HEADER := $(if $(NVCC),$(wildcard $(CUDA_HOME)/include/nccl.h))
TEST_NCCL   := $(if $(NCCL_HEADER),$(VARIANT)/tests/nccl/libnccl.so.2)
NCCL_REAL   := $(firstword $(wildcard $(foreach f,$(CUDA_HOME)/lib64 $(CUDA_HOME)/lib /usr/lib/x86_64-linux-gnu,$(f)/libnccl.so)))
comma       := ,
nccl_own    := $(call objects,$(filter-out $(wildcard tests/nccl/test_*.c),$(wildcard tests/nccl/*.c)))
ifeq ($(NCCL_HEADER),)
TESTS := $(filter-out tests/nccl/%,$(TESTS))
endif

$(VARIANT)/tests/nccl/%.o: FLAGS_here = -fPIC -isystem $(CUDA_HOME)/include
$(VARIANT)/tests/nccl/libnccl.so.2: $(nccl_own)
	$(call say,LD)
	$(Q)$(LINK) -shared -Wl,-soname,libnccl.so.2 -Wl,-z,defs $^ -ldl -lpthread $(LDLIBS) -o $@
$(VARIANT)/tests/nccl/test_nccl: $(VARIANT)/tests/nccl/test_nccl.o $(nccl_own)
	$(call say,LD)
	$(Q)$(LINK) $^ -lcmocka -ldl -lpthread $(LDLIBS) -o $@
# Against the real library, where it is: every function that motet looks up is linked by its name.
$(VARIANT)/tests/nccl/test_header.o: FLAGS_here = -isystem $(CUDA_HOME)/include $(if $(NCCL_REAL),-DNCCL_REAL)
$(VARIANT)/tests/nccl/test_header: $(VARIANT)/tests/nccl/test_header.o
	$(call say,LD)
	$(Q)$(LINK) $^ $(if $(NCCL_REAL),$(NCCL_REAL) -Wl$(comma)-rpath$(comma)$(dir $(realpath $(NCCL_REAL)))) -lcmocka $(LDLIBS) -o $@
