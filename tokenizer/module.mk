# tokenizer: tokenizers of every family, and dstok.
tokenizer_LIB  := dstok
tokenizer_PROG := dstok
tokenizer_DIRS := tokenizer tokenizer/pretokens tokenizer/chat tokenizer/train
tokenizer_SEES := tokenizer common
tokenizer_PKG  := jansson libpcre2-8
