# The tests: what is built for them, and the lanes. tests/run.sh runs what is built and counts.

J ?= 2
FUZZ_TIME ?= 60
OTHERB = $(if $(filter build/$(MODE),$(B)),build/$(1),$(B)-$(1))

TEST_INC := -iquote tests/unit -iquote kernels/cuda/emu $(foreach m,$(MODULES),$(addprefix -iquote ,$($(m)_DIRS)))
# cmocka's assertions do not tell the compiler that they do not return, and cast what they are given.
TEST_CFLAGS := -Wno-null-dereference -Wno-conversion -Wno-sign-conversion
UNIT_SRCS := $(sort $(wildcard tests/unit/test_*.c))
UNIT_HELP := $(call objs_of,$(filter-out $(UNIT_SRCS),$(sort $(wildcard tests/unit/*.c))))
UNIT_BINS := $(UNIT_SRCS:tests/unit/%.c=$(B)/tests/%)
FUZZ_SRCS := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FUZZ_BINS := $(FUZZ_SRCS:tests/fuzz/%.c=$(B)/fuzz/%)
test_libs = -Wl,--start-group $(LIBS) $(1) -Wl,--end-group $(call pkglibs,$(PKGS)) $(call extralibs,$(MODULES)) -lm

ifdef CCID
$(call stamp,$(B)/stamp/tests.flags,$(CC) $(CCID) $(ALL_CPPFLAGS) $(TEST_INC) $(PKG_CFLAGS) $(ALL_CFLAGS) $(TEST_CFLAGS))
$(call stamp,$(B)/stamp/tests.objs,$(LIBS) $(UNIT_HELP) $(ALL_LDFLAGS))
endif

$(B)/obj/tests/%.o: tests/%.c $(B)/stamp/tests.flags
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CPPFLAGS) $(TEST_INC) $(PKG_CFLAGS) $(ALL_CFLAGS) $(TEST_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/tests/%: $(B)/obj/tests/unit/%.o $(UNIT_HELP) $(LIBS) $(CUDA_EMU) $(B)/stamp/tests.objs
	$(call say,LD,$(@F))
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $< $(UNIT_HELP) $(call test_libs,$(CUDA_EMU)) -lcmocka

# What of the kernels' tests runs on the device that is watched.
WATCHED_BINS := $(if $(CUDA_WATCHED),$(addprefix $(B)/watched/,test_cuda test_cuda_choices test_cuda_optim))
$(B)/watched/%: $(B)/obj/tests/unit/%.o $(UNIT_HELP) $(LIBS) $(CUDA_WATCHED) $(B)/stamp/tests.objs
	$(call say,LD,$(@F))
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $< $(UNIT_HELP) $(call test_libs,$(CUDA_WATCHED)) -lcmocka

# A fuzz target is a libFuzzer program under MODE=fuzz (by clang, which the emulated device is not for); elsewhere its corpus is replayed by tests/fuzz/replaymain.c.
FUZZ_MAIN := $(if $(filter fuzz,$(MODE)),,$(B)/obj/tests/fuzz/replaymain.o)
$(B)/fuzz/%: $(B)/obj/tests/fuzz/%.o $(FUZZ_MAIN) $(LIBS) $(B)/stamp/tests.objs
	$(call say,LD,$(@F))
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) $(if $(FUZZ_MAIN),,-fsanitize=fuzzer) -o $@ $< $(FUZZ_MAIN) $(call test_libs)

BENCH_SRCS := $(sort $(wildcard tests/bench/bench_*.c))
BENCH_BINS := $(BENCH_SRCS:tests/bench/%.c=$(B)/bench/%)
BENCH_LIBS := $(call libs_of,tokenizer converters common)
$(B)/bench/%: $(B)/obj/tests/bench/%.o $(BENCH_LIBS) $(B)/stamp/tests.objs
	$(call say,LD,$(@F))
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $< -Wl,--start-group $(BENCH_LIBS) -Wl,--end-group $(call pkglibs,$(sort $(call pkgs_of,tokenizer converters common) libopenjp2)) -lm

# Of a backend's kernels: the plugin is loaded, and nothing else lies beside the program.
KERNBENCH_OBJS := $(call objs_of,$(sort $(wildcard tests/gpu/*.c)))
$(B)/bench/bench_kernels: $(KERNBENCH_OBJS) $(call libs_of,kernels common) $(B)/stamp/tests.objs
	$(call say,LD,$(@F))
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(KERNBENCH_OBJS) -Wl,--start-group $(call libs_of,kernels common) -Wl,--end-group \
	    $(call pkglibs,$(call pkgs_of,kernels common)) -lm

-include $(BENCH_SRCS:%.c=$(B)/obj/%.d) $(KERNBENCH_OBJS:%.o=%.d)
-include $(UNIT_SRCS:%.c=$(B)/obj/%.d) $(UNIT_HELP:%.o=%.d) $(FUZZ_SRCS:%.c=$(B)/obj/%.d)
.SECONDARY: $(call objs_of,$(UNIT_SRCS) $(FUZZ_SRCS) $(BENCH_SRCS)) $(UNIT_HELP) $(FUZZ_MAIN)

# On a machine with a device: the plugin beside the CPU, function by function, as a network and as whole runs.
check-gpu: all $(CUDA_PLUGIN) $(B)/tests/test_cuda $(addprefix $(B)/tests/test_cuda,_choices _optim _net _graph)
	@bash tests/gpu/check.sh $(B)

# BASE: a model's folder, DATA: a stream with its tokens; without them both are made.
bench-gpu: all $(CUDA_PLUGIN) $(B)/bench/bench_kernels
	@bash tests/gpu/bench.sh $(B) $(if $(BASE),'$(BASE)' '$(DATA)')

# Both for a machine that has none of the packages: build/release/gpu-bundle.tgz.
gpu-bundle: all test-programs $(CUDA_PLUGIN)
	@bash tests/gpu/bundle.sh $(B) $(B)/gpu-bundle.tgz

.PHONY: check-gpu bench-gpu gpu-bundle test-programs fuzz-programs test run-tests test-long run-long unit cli extra asan asan-build \
        fuzz-replay tsan fuzz bench
test-programs: $(UNIT_BINS) $(WATCHED_BINS) $(CUDA_EMU_SO) $(B)/bench/bench_kernels
fuzz-programs: $(FUZZ_BINS)

RUN = bash tests/run.sh -j $(J) -t '$(T)'

test:
	@.ci/deps
	@$(MAKE) run-tests

run-tests: all test-programs asan-build
	@$(RUN) -r unit:$(B) cli:$(B) extra:$(B) unit:$(call OTHERB,asan) cli:$(call OTHERB,asan) \
	    fuzz:$(call OTHERB,asan)

unit: test-programs
	@$(RUN) unit:$(B)
cli: all
	@$(RUN) cli:$(B)
extra: all test-programs
	@$(RUN) extra:$(B)
asan-build:
	@$(MAKE) MODE=asan B=$(call OTHERB,asan) all test-programs fuzz-programs
asan: asan-build
	@$(RUN) unit:$(call OTHERB,asan) cli:$(call OTHERB,asan) fuzz:$(call OTHERB,asan)
fuzz-replay: asan-build
	@$(RUN) fuzz:$(call OTHERB,asan)

test-long:
	@.ci/deps
	@DS_LONG=1 $(MAKE) run-tests
	@$(MAKE) tsan
	@$(MAKE) fuzz
tsan:
	@$(MAKE) MODE=tsan B=$(call OTHERB,tsan) all test-programs
	@$(RUN) unit:$(call OTHERB,tsan) cli:$(call OTHERB,tsan)

fuzz:
	@$(MAKE) MODE=fuzz CC=clang B=$(call OTHERB,fuzz) fuzz-programs
	@bash tests/fuzz/fuzz.sh $(call OTHERB,fuzz) $(FUZZ_TIME) '$(T)'

bench: all $(BENCH_BINS)
	@DS_BIN_DIR="$(abspath $(B))/bin" DS_BENCH_PROGS="$(abspath $(B))/bench" PATH="$(abspath $(B))/bin:$$PATH" bash tests/bench/bench.sh $(L)

lint: all
	@set -e; for t in style layering shell manual; do DS_BIN_DIR="$(abspath $(B))/bin" tests/check/$$t.test; done
