# converters: text, logs, archives and tables into records.
converters_LIB  := dsconv
converters_DIRS := converters converters/text converters/logs
converters_SEES := converters common
converters_PKG  := libarchive libzstd zlib libpcre2-8 libcrypto libbrotlidec
