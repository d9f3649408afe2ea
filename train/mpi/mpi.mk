# ---- MPI between ranks: a plug-in of motet-train, built where Open MPI is; MPI= (empty) leaves it out.
MPI           ?= $(shell pkg-config --exists ompi-c 2>/dev/null && echo ompi-c)
MPI_PLUGIN    := $(BIN)/libmotet_mpi.so

ifneq ($(MPI),)
all: $(MPI_PLUGIN)
.PHONY: plugin-mpi
plugin-mpi: $(MPI_PLUGIN) ## MPI between ranks, build/bin/libmotet_mpi.so
else
MPI_PLUGIN :=
endif

$(VARIANT)/pic/train/mpi/%.o: FLAGS_here = $(patsubst -I%,-isystem %,$(filter -I%,$(shell pkg-config --cflags $(MPI))))
$(BIN)/libmotet_mpi.so: $(call pic,$(wildcard train/mpi/*.c))
	$(call say,LD)
	@mkdir -p $(@D)
	$(Q)$(LINK) -shared -Wl,-z,defs -Wl,-z,nodelete -Wl,-soname,libmotet_mpi.so $^ $(shell pkg-config --libs $(MPI)) $(LDLIBS) -o $@
