/* flatbuf.h - tables of a FlatBuffer, read in place (FlatBuffers, "Internals"): what Arrow
 * describes its data with.
 *
 * A table begins with the distance to its vtable, which says where each field lies, or that it has
 * its default. The bytes are hostile: whatever passes their end reads as a default, and `bad` is
 * set, which the caller asks for once he has read what he wants. Tables may be referred to more
 * than once, so whoever follows references bounds how many he follows. One thread.
 */
#ifndef DS_FLATBUF_H
#define DS_FLATBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ds_flat {
    const uint8_t *p;
    size_t len;
    bool bad;
} ds_flat;

typedef struct ds_flatvec {
    size_t at; /* of the first element; 0: there is none */
    size_t n;
} ds_flatvec;

/* Positions in the bytes; 0 is none. */
size_t ds_flat_root(ds_flat *f);
int64_t ds_flat_int(ds_flat *f, size_t table, int field, int width, int64_t otherwise);
size_t ds_flat_table(ds_flat *f, size_t table, int field);
/* width: bytes of an element. */
ds_flatvec ds_flat_vector(ds_flat *f, size_t table, int field, size_t width);
/* The table that element i of a vector of references leads to. */
size_t ds_flat_element(ds_flat *f, ds_flatvec v, size_t i);
/* Not terminated; NULL: there is none. */
const char *ds_flat_text(ds_flat *f, size_t table, int field, size_t *len);
/* A little-endian number of 1, 2, 4 or 8 bytes, with its sign. */
int64_t ds_flat_number(ds_flat *f, size_t at, int width);

#endif
