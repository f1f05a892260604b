# trainer: dstrain. Sees every library.
trainer_LIB  := dstrain
trainer_PROG := dstrain
trainer_DIRS := trainer trainer/net trainer/measure
trainer_SEES := trainer dsver converters tokenizer kernels common
trainer_PKG  := libpcre2-8
