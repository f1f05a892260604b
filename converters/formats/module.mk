# converters/formats: records to and from the formats of other tools, one file each.
converters/formats_LIB  := dsformats
converters/formats_DIRS := converters/formats converters/formats/parquet converters/formats/arrow
converters/formats_SEES := converters/formats converters common
converters/formats_PKG  := libarchive libzstd zlib libxxhash snappy liblz4 libbrotlidec
