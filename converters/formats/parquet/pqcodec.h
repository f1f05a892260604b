/* pqcodec.h - the compressions of Parquet's pages (Apache Parquet, Compression.md): snappy, gzip,
 * brotli, lz4 (with Hadoop's frames, and raw) and zstd. Any thread; nothing is kept.
 */
#ifndef DS_PQCODEC_H
#define DS_PQCODEC_H

#include "buf.h"

enum ds_pqcodec { /* parquet.thrift: CompressionCodec */
                  DS_PQ_STORED,
                  DS_PQ_SNAPPY,
                  DS_PQ_GZIP,
                  DS_PQ_LZO,
                  DS_PQ_BROTLI,
                  DS_PQ_LZ4_HADOOP,
                  DS_PQ_ZSTD,
                  DS_PQ_LZ4
};

/* Unpacks (p, len) into exactly n bytes at `to`. NULL, or (static) why not. */
const char *ds_pq_unpack(int codec, const uint8_t *p, size_t len, uint8_t *to, size_t n);

#endif
