/* ipcmessage.h - the messages of an Arrow file or stream, one after the other (Apache Arrow,
 * Format/Columnar.rst, "Serialization and Interprocess Communication").
 *
 *   stream  messages, and u32 -1, u32 0 behind the last, or just the end
 *   file    "ARROW1\0\0", a stream, the footer, u32 its length, "ARROW1"
 *   message u32 -1 (not before version 0.15), u32 length, metadata: a FlatBuffer, the body
 *
 * Of a file the footer says where batches and dictionaries are, in which order they may be needed
 * other than as they lie. One thread. A zeroed object is valid for _fini.
 */
#ifndef DS_IPCMESSAGE_H
#define DS_IPCMESSAGE_H

#include "buf.h"
#include "flatbuf.h"

enum ds_ipckind { /* Message.fbs: MessageHeader */
                  DS_IPC_END = 0,
                  DS_IPC_SCHEMA = 1,
                  DS_IPC_DICTIONARY = 2,
                  DS_IPC_BATCH = 3
};

typedef struct ds_ipcmessage {
    enum ds_ipckind kind;
    ds_flat flat;
    size_t header;           /* its table */
    uint64_t at;             /* of the message */
    uint64_t body, body_len; /* within the file */
    bool old;                /* of metadata before version 5 */
} ds_ipcmessage;

typedef struct ds_ipcmessages {
    int fd;
    const char *name;
    uint64_t size, at; /* at: of a stream, the next */
    bool file;
    ds_buf metadata; /* the message's, or the footer's */
    ds_buf blocks;   /* of a file: dictionaries, then batches; 24 bytes each */
    size_t next;     /* 0: the schema, else a block's number, from 1 */
} ds_ipcmessages;

/* Tells a file from a stream. DS_FAIL when it is neither, with a message. */
int ds_ipcmessages_init(ds_ipcmessages *m, int fd, const char *name, uint64_t size, ds_err *err);
/* The next: of a file the schema first. 1: what stands at out->at is none, and *why (static) says
 * why; of a file there may be more behind it. */
int ds_ipcmessages_next(ds_ipcmessages *m, ds_ipcmessage *out, const char **why, ds_err *err);
/* To the first, which of a file is the one behind the schema. */
void ds_ipcmessages_rewind(ds_ipcmessages *m);
bool ds_ipcmessages_more(const ds_ipcmessages *m); /* behind one that is none */
void ds_ipcmessages_fini(ds_ipcmessages *m);

#endif
