# The CUDA backend: a plugin where nvcc is found, and the same sources for the host under emulation (emu.h), which the tests
# use. -fmad=false and -ffp-contract=off: only the fused multiply-adds that the code asks for, as on the CPU.
NVCC ?= $(firstword $(wildcard /usr/local/cuda/bin/nvcc) $(shell command -v nvcc 2>/dev/null))
CUDA_ARCHS ?= 80 90
CUDA_SRCS := $(sort $(wildcard kernels/cuda/*.cu))
CUDA_HDRS := $(wildcard kernels/cuda/*.h) kernels/kernels.h kernels/plugin.h common/error.h common/half.h common/pixels.h
CUDA_INC := -Ikernels/cuda -Ikernels -Icommon
CUDA_EMU := $(B)/lib/libdscudaemu.a
CUDA_EMU_NCCL := kernels/cuda/emu/nccl.cc
CUDA_EMU_WATCH := kernels/cuda/emu/watch.cc
CUDA_RTS := $(sort $(wildcard kernels/cuda/*.cc))
CUDA_EMU_OBJS := $(CUDA_SRCS:kernels/cuda/%.cu=$(B)/obj/kernels/emu/%.o) \
    $(patsubst kernels/cuda/%.cc,$(B)/obj/kernels/emu/%.o, \
    $(CUDA_RTS) $(filter-out $(CUDA_EMU_NCCL) $(CUDA_EMU_WATCH),$(sort $(wildcard kernels/cuda/emu/*.cc))))
# Without it each fused multiply-add is a call; the bits are the same either way.
EMU_FMA := $(if $(and $(filter x86_64%,$(TARGET)),$(shell grep -m 1 -w fma /proc/cpuinfo)),-mfma)
EMU_INC := -Ikernels/cuda/emu $(CUDA_INC)
EMU_CXXFLAGS := -std=c++20 -Wall -Wextra -Wshadow -Wno-unknown-pragmas -Wno-psabi $(if $(filter 1,$(WERROR)),-Werror) \
    $(OPT_$(MODE)) $(NOVARS) -fPIC -fvisibility=hidden $(REPRO) -DDS_EMU $(EMU_FMA)

ifdef CCID
$(call stamp,$(B)/stamp/emu.flags,$(CXX) $(CCID) $(EMU_CXXFLAGS))
endif

$(B)/obj/kernels/emu/%.o: kernels/cuda/%.cu $(B)/stamp/emu.flags
	$(call say,EMU,$<)
	@mkdir -p $(@D)
	$(Q)$(CXX) $(EMU_INC) $(EMU_CXXFLAGS) -x c++ -MMD -MP -c -o $@ $<

$(B)/obj/kernels/emu/%.o: kernels/cuda/%.cc $(B)/stamp/emu.flags
	$(call say,EMU,$<)
	@mkdir -p $(@D)
	$(Q)$(CXX) $(EMU_INC) $(EMU_CXXFLAGS) -MMD -MP -c -o $@ $<

# Its fibers change stacks by themselves, of which a shadow stack would know nothing.
$(B)/obj/kernels/emu/emu/emu.o: EMU_CXXFLAGS += $(if $(ARCHF),-fcf-protection=branch)

$(CUDA_EMU): $(CUDA_EMU_OBJS)
	$(call say,AR,$(@F))
	@rm -f $@
	$(Q)$(AR) rcsD $@ $^

# The same as a plugin, and what it finds in NCCL's place, for tests of whole programs; objects with a sanitizer are not made for
# that.
ifeq ($(MODE),release)
CUDA_EMU_SO := $(B)/lib/libds-cuda-emu.so $(B)/lib/libds-nccl-emu.so
$(B)/lib/libds-nccl-emu.so: $(CUDA_EMU_NCCL) $(wildcard kernels/cuda/emu/*.h) $(B)/stamp/emu.flags
	$(call say,LD,$(@F))
	@mkdir -p $(@D)
	$(Q)$(CXX) $(EMU_INC) $(EMU_CXXFLAGS) -shared -o $@ $<

$(B)/lib/libds-cuda-emu.so: $(CUDA_EMU_OBJS) $(call libs_of,kernels common)
	$(call say,LD,$(@F))
	$(Q)$(CXX) $(OPT_$(MODE)) -shared -o $@ $(CUDA_EMU_OBJS) $(call libs_of,kernels common) \
	    $(call pkglibs,$(call pkgs_of,kernels common)) -ldl -lm
endif

# The same with kernels that are watched (watch.cc): they are compiled as for the sanitizer of threads, without its library.
ifeq ($(MODE),release)
CUDA_WATCHED := $(B)/lib/libdscudawatched.a
CUDA_WATCHED_OBJS := $(CUDA_SRCS:kernels/cuda/%.cu=$(B)/obj/kernels/watched/%.o) \
    $(CUDA_EMU_WATCH:kernels/cuda/%.cc=$(B)/obj/kernels/emu/%.o)
$(B)/obj/kernels/watched/%.o: kernels/cuda/%.cu $(B)/stamp/emu.flags
	$(call say,EMU,$<)
	@mkdir -p $(@D)
	$(Q)$(CXX) $(EMU_INC) $(EMU_CXXFLAGS) -fsanitize=thread --param tsan-instrument-func-entry-exit=0 -x c++ -MMD -MP -c -o $@ $<

$(CUDA_WATCHED): $(CUDA_WATCHED_OBJS) $(CUDA_EMU_OBJS)
	$(call say,AR,$(@F))
	@rm -f $@
	$(Q)$(AR) rcsD $@ $(filter-out $(CUDA_SRCS:kernels/cuda/%.cu=$(B)/obj/kernels/emu/%.o),$^)
endif

-include $(CUDA_EMU_OBJS:%.o=%.d) $(CUDA_WATCHED_OBJS:%.o=%.d)

# ---- the plugin ----

CUBLASLT := $(and $(NVCC),$(wildcard $(dir $(NVCC))../include/cublasLt.h))
ifneq ($(and $(CUBLASLT),$(filter release,$(MODE))),)
CUDA_PLUGIN := $(B)/lib/libds-cuda.so
CUDA_OBJS := $(CUDA_SRCS:kernels/cuda/%.cu=$(B)/obj/kernels/cuda/%.o) $(CUDA_RTS:kernels/cuda/%.cc=$(B)/obj/kernels/cuda/%.o)
CUDA_LAST := $(lastword $(CUDA_ARCHS))
CUDA_GENCODE := $(foreach a,$(CUDA_ARCHS),-gencode arch=compute_$(a),code=sm_$(a)) \
    -gencode arch=compute_$(CUDA_LAST),code=compute_$(CUDA_LAST)
# What only one architecture has is compiled for that alone.
$(B)/obj/kernels/cuda/attnwg.o $(B)/obj/kernels/cuda/groupswg.o: CUDA_GENCODE := -gencode arch=compute_90a,code=sm_90a
NVCCFLAGS := -std=c++20 -O3 -fmad=false --expt-relaxed-constexpr -Xcompiler -fPIC,-fvisibility=hidden,-Wall -ccbin $(CXX) \
    -Xptxas --warn-on-spills -Xptxas --warn-on-local-memory-usage $(if $(filter 1,$(WERROR)),-Xptxas --warning-as-error)

$(call stamp,$(B)/stamp/cuda.flags,$(NVCC) $(CUDA_GENCODE) $(NVCCFLAGS))

$(B)/obj/kernels/cuda/%.o: kernels/cuda/%.cu $(CUDA_HDRS) $(B)/stamp/cuda.flags
	$(call say,NVCC,$<)
	@mkdir -p $(@D)
	$(Q)$(NVCC) $(CUDA_INC) $(CUDA_GENCODE) $(NVCCFLAGS) -c -o $@ $<

$(B)/obj/kernels/cuda/%.o: kernels/cuda/%.cc $(CUDA_HDRS) $(B)/stamp/cuda.flags
	$(call say,NVCC,$<)
	@mkdir -p $(@D)
	$(Q)$(NVCC) $(CUDA_INC) $(CUDA_GENCODE) $(NVCCFLAGS) -x cu -c -o $@ $<

$(CUDA_PLUGIN): $(CUDA_OBJS) $(call libs_of,kernels common)
	$(call say,LD,$(@F))
	$(Q)$(NVCC) -shared -ccbin $(CXX) -cudart static -o $@ $(CUDA_OBJS) $(call libs_of,kernels common) -lcublasLt -ldl \
	    -Xlinker -z,relro,-z,now,--no-undefined $(call pkglibs,$(call pkgs_of,common)) -lm
endif

.PHONY: cuda-emu cuda
cuda-emu: $(CUDA_EMU) $(CUDA_EMU_SO)
cuda: $(CUDA_PLUGIN)
	@$(if $(CUDA_PLUGIN),:,echo "nvcc was not found: no CUDA plugin")
