# trainer: dstrain. Sees every library.
trainer_LIB  := dstrain
trainer_PROG := dstrain
trainer_SEES := trainer dsver converters tokenizer kernels common
trainer_PKG  :=
