# common: errors, buffers, files, hashing, options, threads, DSR records. Sees nothing but itself.
common_LIB  := dscommon
common_SEES := common
common_PKG  := libxxhash libcrypto jansson libzstd
