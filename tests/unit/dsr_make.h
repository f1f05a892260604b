/* dsr_make.h - small DSR streams for tests: written to and read from unlinked temporary files. */
#ifndef DS_TEST_DSR_MAKE_H
#define DS_TEST_DSR_MAKE_H

#include "dsr_frame.h"
#include "dsr_prov.h"
#include "dsr_rows.h"

/* An empty unlinked file; the test fails when there can be none. */
int make_file(void);
/* The same, holding these bytes, read from the beginning. */
int make_file_of(const void *p, size_t len);
/* Everything in the file. */
void make_slurp(ds_buf *out, int fd);

/* Deterministic numbers (splitmix64). */
uint64_t make_random(uint64_t *state);

/* A schema of one primary, keyed text column "text", with these block sizes (0: the defaults). */
void make_text_schema(ds_schema *s, uint64_t min, uint64_t target, uint64_t max);
/* A column of every type, half of them nullable; text is primary. */
void make_wide_schema(ds_schema *s);
/* Puts one record into rows of the wide schema: every value follows from `n` alone. */
void make_wide_row(ds_rows *r, uint64_t n);

/* A whole stream of `rows` wide records and `sources` sources as bytes. */
void make_wide_stream(ds_buf *out, uint64_t rows, uint64_t sources, const ds_writer_opts *opts);

/* Reads a stream to its end with every check there is, views and items walked. 0 or the code,
 * message in err. */
int make_read_all(const void *p, size_t len, ds_counts *counts, ds_err *err);

/* Puts the right checksums (and the digest in the end frame, when it is in place) into a stream
 * whose frames were meddled with. */
void make_resum(ds_buf *stream);
/* Where the first frame of a type and codec begins, and its head. */
size_t make_first(const ds_buf *stream, uint8_t type, uint8_t codec, ds_frame *f);
/* The stream with other bytes as the payload, not compressed, of the frame at `at`, checksums and
 * all. */
void make_other_frame(ds_buf *out, const ds_buf *stream, size_t at, const void *p, size_t len);

#endif
