# tokenizer: tokenizers of every family, and dstok.
tokenizer_LIB  := dstok
tokenizer_PROG := dstok
tokenizer_SEES := tokenizer common
tokenizer_PKG  := jansson libpcre2-8
