# dsprep: one file a command, and the stages between them.
dsprep_LIB  := dsprep
dsprep_PROG := dsprep
dsprep_DIRS := dsprep dsprep/transforms
dsprep_SEES := dsprep converters/formats converters tokenizer dsver common
dsprep_PKG  :=
