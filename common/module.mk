# common: errors, buffers, files, hashing, options, threads, DSR records. Sees nothing but itself.
common_LIB  := dscommon
common_DIRS := common common/dsr common/lineage
common_SEES := common
common_PKG  := libxxhash libcrypto jansson libzstd
