# kernels: arithmetic behind kernels.h; the CPU reference is always built.
kernels_LIB  := dskern
kernels_SEES := kernels common
kernels_PKG  :=
