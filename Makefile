# Builds every folder named in MODULES: cmd_*.c becomes the folder's program, every other .c and .cc its static
# library. Each folder sees only the headers that its module.mk allows, so the compiler enforces the layers. A module's
# DIRS are one library; OPEN are those of them that others may look into, all unless it says so.
#
#   make [MODE=release|asan|tsan|fuzz] [WERROR=1] [B=build/MODE] [V=1]       `make help` lists the targets

VERSION := 0.1.0
MODULES := common tokenizer converters converters/formats converters/dicom dsver kernels dsprep dsprep/dicom trainer
MODE    ?= release
B       ?= build/$(MODE)
PREFIX  ?= /usr/local
DESTDIR ?=
CC      := $(if $(filter default undefined,$(origin CC)),$(if $(filter fuzz,$(MODE)),clang,gcc),$(CC))
CXX     := $(if $(filter default undefined,$(origin CXX)),$(if $(findstring clang,$(CC)),clang++,g++),$(CXX))
AR      ?= ar
PKG_CONFIG ?= pkg-config
Q       := $(if $(filter 1,$(V)),,@)

export SOURCE_DATE_EPOCH ?= 1700000000
MAKEFLAGS += --no-print-directory
.DELETE_ON_ERROR:
.SUFFIXES:

# ---- flags -----------------------------------------------------------------------------------------

# A number changes its width or its sign only where the line says so. clang means more by the same names.
WARNGCC := $(if $(findstring clang,$(CC)),,-Wconversion -Wsign-conversion -Wduplicated-cond \
        -Wduplicated-branches)
WARN := -std=c11 -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla \
        -Wwrite-strings -Wpointer-arith -Wformat=2 -Wundef -Wcast-qual -Wnull-dereference \
        -Wimplicit-fallthrough $(WARNGCC) $(if $(filter 1,$(WERROR)),-Werror)
# What the compiler builds for, which need not be this machine.
TARGET := $(shell $(CC) -dumpmachine 2>/dev/null)
ARCHF := $(if $(filter x86_64%,$(TARGET)),-fcf-protection=full)
HARD := -O2 -g -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fPIE -fno-common -fstack-clash-protection \
        $(ARCHF) -fvisibility=hidden
HARDLD := -pie -Wl,-z,relro,-z,now,-z,noexecstack
# The same bits on processors that multiply and add in one go.
REPRO := -ffile-prefix-map=$(CURDIR)=. -ffp-contract=off
# Where variables lie at each instruction takes gcc a third of its time with a sanitizer, whose reports have lines only.
NOVARS := $(if $(findstring clang,$(CC)),,-fno-var-tracking)
SANB := -O1 -g $(NOVARS) -fPIE -fno-common -fno-omit-frame-pointer -fno-sanitize-recover=all
# Under a sanitizer these warn about paths and conversions that its own instrumentation made.
SANW := -Wno-null-dereference -Wno-conversion -Wno-sign-conversion $(if $(findstring clang,$(CC)),,-Wno-maybe-uninitialized)

OPT_release := $(HARD)
OPT_asan := $(SANB) $(SANW) -fsanitize=address,undefined,float-cast-overflow
OPT_tsan := $(SANB) $(SANW) -fsanitize=thread
OPT_fuzz := $(SANB) $(SANW) -fsanitize=fuzzer-no-link,address,undefined,float-cast-overflow
LD_release := $(HARDLD)
LD_asan := -pie -fsanitize=address,undefined
LD_tsan := -pie -fsanitize=thread
LD_fuzz := -pie -fsanitize=address,undefined
$(if $(OPT_$(MODE)),,$(error MODE=$(MODE): it is one of release, asan, tsan, fuzz))

ALL_CPPFLAGS := -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DDS_VERSION='"$(VERSION)"' $(CPPFLAGS)
CXXWARN := -std=c++17 -Wall -Wextra -Wshadow -Wvla -Wpointer-arith -Wformat=2 -Wcast-qual -Wimplicit-fallthrough \
           $(if $(filter 1,$(WERROR)),-Werror)
ALL_CXXFLAGS := $(CXXWARN) $(OPT_$(MODE)) $(if $(findstring undefined,$(OPT_$(MODE))),-fno-sanitize=vptr) $(REPRO) \
    -pthread $(CXXFLAGS)
ALL_CFLAGS := $(WARN) $(OPT_$(MODE)) $(REPRO) -pthread $(CFLAGS)
ALL_LDFLAGS := $(LD_$(MODE)) -pthread $(LDFLAGS)

# ---- what the folders are --------------------------------------------------------------------------

all: # the default, whatever a module.mk defines
include $(MODULES:%=%/module.mk)

PKGS := $(sort $(foreach m,$(MODULES),$($(m)_PKG)))

# `deps` must work before the libraries are there, and so must what begins with it.
NOCHECK := clean help deps format test test-long demo
ifneq ($(filter-out $(NOCHECK),$(or $(MAKECMDGOALS),all)),)
ifneq ($(shell $(PKG_CONFIG) --exists $(PKGS) && echo yes),yes)
$(info $(shell $(PKG_CONFIG) --print-errors --exists $(PKGS) 2>&1))
$(error a library is missing: run `make deps` (as root), then make again)
endif
PKG_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(PKGS))
$(foreach p,$(PKGS),$(eval PKG_LIBS_$(p) := $(shell $(PKG_CONFIG) --libs $(p))))

# stamp FILE,TEXT: FILE holds TEXT; it is touched only when TEXT changes, so what depends on it is rebuilt then.
same = $(and $(findstring x$(1)x,x$(2)x),$(findstring x$(2)x,x$(1)x))
stamp = $(if $(call same,$(strip $(file <$(1))),$(strip $(2))),,$(file >$(1),$(strip $(2))))
$(shell mkdir -p $(B)/stamp $(dir $(MODULES:%=$(B)/stamp/%)) $(B)/lib $(B)/bin)
CCID := $(shell $(CC) --version 2>&1 | head -n 1)
endif

libs_of = $(foreach m,$(1),$(if $($(m)_LSRCS),$(B)/lib/lib$($(m)_LIB).a))
pkgs_of = $(sort $(foreach m,$(1),$($(m)_PKG)))
pkglibs = $(foreach p,$(1),$(PKG_LIBS_$(p)))
extralibs = $(foreach m,$(1),$($(m)_LDLIBS))
objs_of = $(patsubst %.cc,$(B)/obj/%.o,$(patsubst %.c,$(B)/obj/%.o,$(1)))
say = @printf '  %-5s %s\n' '$(1)' '$(2)'

define MODULE
$(1)_DIRS ?= $(1)
$(1)_OPEN ?= $$($(1)_DIRS)
$(1)_SRCS := $$(sort $$(wildcard $$(addsuffix /*.c,$$($(1)_DIRS)) $$(addsuffix /*.cc,$$($(1)_DIRS))))
$(1)_CXXSRCS := $$(filter %.cc,$$($(1)_SRCS))
$(1)_CSRCS := $$(filter $(1)/cmd_%.c,$$($(1)_SRCS))
$(1)_LSRCS := $$(filter-out $(1)/cmd_%.c,$$($(1)_SRCS))
$(1)_INC = $$(addprefix -iquote ,$$($(1)_DIRS) $$(foreach s,$$(filter-out $(1),$$($(1)_SEES)),$$($$(s)_OPEN)))
endef

define RULES
$$(call stamp,$(B)/stamp/$(1).flags,$$(CC) $$(CCID) $$(ALL_CPPFLAGS) $$($(1)_INC) $$(PKG_CFLAGS) $$(ALL_CFLAGS) \
    $$($(1)_CFLAGS) $$(foreach s,$$($(1)_SRCS),$$(CFLAGS_$$(s))))
$$(call stamp,$(B)/stamp/$(1).objs,$$($(1)_SRCS) $$(ALL_LDFLAGS))

$$(call objs_of,$$(filter %.c,$$($(1)_SRCS))): $(B)/obj/%.o: %.c $(B)/stamp/$(1).flags
	$$(call say,CC,$$<)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) $$(ALL_CPPFLAGS) $$($(1)_INC) $$(PKG_CFLAGS) $$(ALL_CFLAGS) $$($(1)_CFLAGS) $$(CFLAGS_$$<) \
	    -MMD -MP -c -o $$@ $$<

ifneq ($$($(1)_CXXSRCS),)
$$(call stamp,$(B)/stamp/$(1).cxxflags,$$(CXX) $$(ALL_CPPFLAGS) $$($(1)_INC) $$(PKG_CFLAGS) $$(ALL_CXXFLAGS))
$$(call objs_of,$$($(1)_CXXSRCS)): $(B)/obj/%.o: %.cc $(B)/stamp/$(1).cxxflags
	$$(call say,CXX,$$<)
	@mkdir -p $$(@D)
	$$(Q)$$(CXX) $$(ALL_CPPFLAGS) $$($(1)_INC) $$(PKG_CFLAGS) $$(ALL_CXXFLAGS) -MMD -MP -c -o $$@ $$<
endif

$(B)/lib/lib$$($(1)_LIB).a: $$(call objs_of,$$($(1)_LSRCS)) $(B)/stamp/$(1).objs
	$$(call say,AR,$$(@F))
	@rm -f $$@
	$$(Q)$$(AR) rcsD $$@ $$(filter %.o,$$^)

ifneq ($$(filter $(1)/cmd_main.c,$$($(1)_CSRCS)),)
$$(if $$($(1)_PART),PARTS,PROGS) += $$($(1)_PROG)
$(B)/bin/$$($(1)_PROG): $$(call objs_of,$$($(1)_CSRCS)) $$(call libs_of,$(1) $$(filter-out $(1),$$($(1)_SEES))) \
    $(B)/stamp/$(1).objs
	$$(call say,LD,$$(@F))
	$$(Q)$$(CC) $$(ALL_LDFLAGS) -o $$@ $$(filter %.o,$$^) -Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group \
	    -Wl,--as-needed $$(call pkglibs,$$(call pkgs_of,$(1) $$($(1)_SEES))) $$(call extralibs,$$($(1)_SEES)) -lm
endif
-include $$(patsubst %.o,%.d,$$(call objs_of,$$($(1)_SRCS)))
endef

# A part is a program that another one starts: that one has its manual page and its completion.
PROGS :=
PARTS :=
$(foreach m,$(MODULES),$(eval $(call MODULE,$(m))))
$(foreach m,$(MODULES),$(eval $(call RULES,$(m))))
BINS := $(PROGS:%=$(B)/bin/%) $(PARTS:%=$(B)/bin/%)
LIBS := $(call libs_of,$(MODULES))

include kernels/cuda/cuda.mk trainer/mpi/mpi.mk dsprep/lang/lang.mk tests/module.mk docs/module.mk

# ---- targets ---------------------------------------------------------------------------------------

.PHONY: all install uninstall deps demo clean help lint tidy format
PLUGINS := $(CUDA_PLUGIN) $(MPI_PLUGIN) $(LANG_PLUGIN)
all: $(LIBS) $(BINS) $(PLUGINS)

BASHDIR = $(DESTDIR)$(PREFIX)/share/bash-completion/completions
ZSHDIR = $(DESTDIR)$(PREFIX)/share/zsh/site-functions
INCDIR = $(DESTDIR)$(PREFIX)/include/ds
LIBDIR = $(DESTDIR)$(PREFIX)/lib
install: all man
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1 $(BASHDIR) $(ZSHDIR)
	for p in $(PROGS); do \
	    install -m 755 $(B)/bin/$$p $(DESTDIR)$(PREFIX)/bin/$$p && \
	    $(B)/bin/$$p --completion bash >$(BASHDIR)/$$p && \
	    $(B)/bin/$$p --completion zsh >$(ZSHDIR)/_$$p || exit 1; \
	done
	for p in $(PARTS); do install -m 755 $(B)/bin/$$p $(DESTDIR)$(PREFIX)/bin/$$p || exit 1; done
	for f in $(B)/man/*.1; do install -m 644 $$f $(DESTDIR)$(PREFIX)/share/man/man1/ || exit 1; done
	install -d $(INCDIR) $(LIBDIR)/pkgconfig $(DESTDIR)$(PREFIX)/share/man/man3
	install -m 644 tokenizer/tok.h common/buf.h common/error.h common/hash.h $(INCDIR)/
	install -m 644 $(B)/lib/libdstok.a $(B)/lib/libdscommon.a $(LIBDIR)/
	$(if $(strip $(PLUGINS)),install -m 755 $(PLUGINS) $(LIBDIR)/)
	install -m 644 docs/dstok.3 $(DESTDIR)$(PREFIX)/share/man/man3/
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' docs/dstok.pc.in >$(LIBDIR)/pkgconfig/dstok.pc

uninstall:
	rm -f $(addprefix $(INCDIR)/,tok.h buf.h error.h hash.h) $(LIBDIR)/libdstok.a $(LIBDIR)/libdscommon.a \
	    $(LIBDIR)/libds-cuda.so $(LIBDIR)/libds-mpi.so $(LIBDIR)/libds-cld2.so \
	    $(LIBDIR)/pkgconfig/dstok.pc $(DESTDIR)$(PREFIX)/share/man/man3/dstok.3
	for p in $(PROGS); do \
	    rm -f $(DESTDIR)$(PREFIX)/bin/$$p $(BASHDIR)/$$p $(ZSHDIR)/_$$p $(DESTDIR)$(PREFIX)/share/man/man1/$$p.1 \
	        $(DESTDIR)$(PREFIX)/share/man/man1/$$p-*.1; \
	done
	for p in $(PARTS); do rm -f $(DESTDIR)$(PREFIX)/bin/$$p; done

deps:
	@.ci/deps

demo:
	@.ci/deps
	@$(MAKE) all
	@PATH="$(abspath $(B))/bin:$$PATH" DS_BIN_DIR="$(abspath $(B))/bin" bash examples/demo/demo.sh

# Tables that a program wrote say "generated" in their first line and are left alone.
format:
	@git ls-files '*.c' '*.h' '*.cc' '*.hh' | while read -r f; do \
	    head -n 1 "$$f" | grep -q generated || clang-format -i "$$f"; done

# clang-tidy over every C source, some minutes; .clang-tidy says what it looks for. The first file with a find ends it.
tidy: $(MODULES:%=tidy/%)
.PHONY: $(MODULES:%=tidy/%)
$(MODULES:%=tidy/%): tidy/%:
	$(call say,TIDY,$*)
	$(Q)for f in $(filter %.c,$($*_SRCS)); do \
	    clang-tidy --quiet $$f -- -std=c11 $(ALL_CPPFLAGS) $($*_INC) $(PKG_CFLAGS) 2>/dev/null || exit 1; done

clean:
	rm -rf build $(filter-out build/%,$(B))

help:
	@echo 'make               build libraries and programs into $(B)'
	@echo 'make deps          install the Debian packages that are missing (as root)'
	@echo 'make demo          the tools at work on a small example'
	@echo 'make test          every test; T=word picks tests by name'
	@echo 'make unit | cli | extra | asan | fuzz-replay      one lane of them'
	@echo 'make test-long     the tests again under ThreadSanitizer, then fuzzing'
	@echo 'make fuzz          libFuzzer on every target, FUZZ_TIME=60 seconds each'
	@echo 'make bench         ratios against a peer or a limit measured in the same run; L="diff peers" picks lanes'
	@echo 'make check-gpu     the CUDA backend beside the CPU on a real device; make bench-gpu BASE= DATA= its speed'
	@echo 'make gpu-bundle    both as one archive, for a machine with a device and without packages'
	@echo 'make lint          style, layers, shell scripts, manual pages: tests/check'
	@echo 'make tidy          clang-tidy over every C source, some minutes'
	@echo 'make format        clang-format on every source that git knows'
	@echo 'make man           manual pages into $(B)/man'
	@echo 'make install       DESTDIR=$(DESTDIR) PREFIX=$(PREFIX): programs, manuals, completions'
	@echo 'make clean'
	@echo
	@echo 'MODE=release|asan|tsan|fuzz  WERROR=1  V=1 (show commands)  B=DIR (objects)  J=2 (tests at a time)'
