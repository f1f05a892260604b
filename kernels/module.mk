# kernels: arithmetic behind kernels.h; cpu/ is always built. vec_*.c are one body compiled for each instruction set, and give
# the same bits on all of them: no contraction of a*b+c but the fused ones that the code asks for.
kernels_LIB  := dskern
kernels_SEES := kernels common
kernels_DIRS := kernels kernels/cpu
kernels_OPEN := kernels
kernels_PKG  :=
kernels_CFLAGS := -Wno-psabi
ifneq ($(filter x86_64%,$(TARGET)),)
CFLAGS_kernels/cpu/vec_avx2.c := -O3 -mavx2 -mfma -mf16c
CFLAGS_kernels/cpu/vec_avx512.c := -O3 -mavx512f -mavx512bw -mavx512vl -mavx512dq -mfma -mprefer-vector-width=512
CFLAGS_kernels/cpu/vec_avx512bf16.c := $(CFLAGS_kernels/cpu/vec_avx512.c) -mavx512bf16
endif
