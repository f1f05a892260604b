# Several processes that compute one run: a plugin where mpicc is found (trainer/ranks.h).
MPICC ?= $(shell command -v mpicc 2>/dev/null)

ifneq ($(and $(MPICC),$(filter release,$(MODE))),)
MPI_PLUGIN := $(B)/lib/libds-mpi.so
$(call stamp,$(B)/stamp/mpi.flags,$(MPICC) $(ALL_CPPFLAGS) $(ALL_CFLAGS))
$(MPI_PLUGIN): trainer/mpi/mpiranks.c trainer/ranks.h $(B)/stamp/mpi.flags $(call libs_of,common)
	$(call say,MPI,$(@F))
	$(Q)OMPI_CC='$(CC)' MPICH_CC='$(CC)' $(MPICC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -fPIC -iquote trainer -iquote common -shared \
	    -Wl,-z,relro,-z,now,--no-undefined -o $@ $< $(call libs_of,common)
endif
