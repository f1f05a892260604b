# dsver: the store (packs, index), the catalog (git), and their commands.
dsver_LIB  := dsver
dsver_PROG := dsver
dsver_DIRS := dsver dsver/objects dsver/catalog dsver/versions dsver/stats dsver/upkeep dsver/lineage dsver/query dsver/remote
dsver_SEES := dsver common
dsver_PKG  := libgit2 sqlite3 libzstd zlib libcurl expat
# The initializers of libgit2 name only the first field.
dsver_CFLAGS := -Wno-missing-field-initializers
