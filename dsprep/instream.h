/* instream.h - one or more DSR files read in order as one stream.
 *
 * Operands: none or "-" is standard input, a file, or a folder that holds shard-*.dsr (read in the
 * order of their names; a gap in their numbers is an error, since a lost shard is lost data). All
 * files must have the same schema. Each file is a whole stream of its own, with its own end:
 * DS_EV_END is reported once a file, and ds_instream_last tells whether another follows. Errors
 * name the file. One thread.
 *
 * Standard input may hold several streams, one behind the other, which a producer that never ends
 * writes. A stage works on one and says all there is to say of it; what is left is kept for the
 * process, whose main runs the stage again: ds_instream_split, and then ds_instream_waits.
 */
#ifndef DS_INSTREAM_H
#define DS_INSTREAM_H

#include "dsr_io.h"

typedef struct ds_instream ds_instream;

/* Finds the files and opens the first. `operands` are borrowed only for the call. */
int ds_instream_open(ds_instream **in, char **operands, int n, ds_err *err);
/* The next event of the current file; after a DS_EV_END that is not the last, the next file is
 * opened. */
int ds_instream_next(ds_instream *in, enum ds_event *ev, ds_err *err);
/* The first block, before anything was read: *b is NULL where there is none, and in a stream that
 * follows another. The next event is still the first; the block is lent until the one after it. */
int ds_instream_peek(ds_instream *in, const ds_block **b, ds_err *err);
ds_reader *
ds_instream_reader(const ds_instream *in); /* of the current file; lent until the next call */
const ds_schema *ds_instream_schema(const ds_instream *in); /* of all of them */
const char *ds_instream_path(const ds_instream *in);        /* of the current file, for messages */
size_t ds_instream_files(const ds_instream *in);            /* how many there are */
bool ds_instream_last(const ds_instream *in);               /* the current file is the last */
uint64_t ds_instream_size(const ds_instream *in); /* bytes of all of them; 0 when not known */
uint64_t ds_instream_pos(const ds_instream *in);  /* how many were read */
/* At the end of a file: was it made by the steps in `prov`, as the one before it? */
int ds_instream_sameprov(const ds_instream *in, const ds_buf *prov, ds_err *err);
void ds_instream_free(ds_instream *in);

/* A path that stands for something else, such as a copy of standard input, and what messages call
 * it. Both are borrowed, from ds_instream_call until ds_instream_uncall. */
typedef struct ds_calling {
    const char *path, *name;
    struct ds_calling *next;
} ds_calling;
void ds_instream_call(ds_calling *c);
void ds_instream_uncall(const ds_calling *c);

void ds_instream_split(void); /* streams of standard input are read one by one */
bool ds_instream_waits(void); /* another stream waits there to be opened */
/* A file is for one stream: DS_USAGE when the one that was opened last is not the first. */
int ds_instream_one_file(const char *path, ds_err *err);

#endif
