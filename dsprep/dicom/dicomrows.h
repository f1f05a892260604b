/* dicomrows.h - results as records of a stream (docs/dicom.md has the columns). One thread.
 *
 * Everything that goes into a column is searched for identifiers on its way (proofpass.h).
 */
#ifndef DS_DICOMROWS_H
#define DS_DICOMROWS_H

#include "dicomfacts.h"
#include "dicomjob.h"
#include "dicomlate.h"
#include "proofraw.h"
#include "shardout.h"

enum ds_dicom_unit { DS_UNIT_IMAGE, DS_UNIT_FRAME, DS_UNIT_VOLUME, DS_UNIT_STUDY };

struct ds_dicom_preview;
struct ds_stagedir;
typedef struct ds_dicom_rows {
    ds_shardout *out;
    ds_proof *proof; /* NULL without de-identification */
    enum ds_dicom_unit unit;
    uint32_t patch;                   /* pixels of a side; 0: images stay images */
    bool laid;                        /* frames come in their patches */
    const char *placeholder;          /* of a patch in text */
    bool digests;                     /* ds_dicom_record.digest is wanted */
    struct ds_dicom_preview *preview; /* may be NULL */
    struct ds_stagedir *files;        /* may be NULL */
    ds_dicom_late *late;              /* may be NULL: every image is here */
    bool hold_found;                  /* objects whose texts hold an identifier are held */
    uint64_t records;
    ds_proofraw raw;
} ds_dicom_rows;

typedef struct ds_text {
    const void *p; /* NULL: null */
    size_t n;
} ds_text;
static inline ds_text ds_text_of(const ds_buf *b)
{
    return (ds_text){b->len ? b->data : NULL, b->len};
}

/* One record, all of it borrowed. */
typedef struct ds_dicom_record {
    const char *kind; /* "image", "frame", "volume", "document", "study" */
    ds_text key, meta, text, chain, volume, members;
    int64_t frame;               /* from 1; 0: none */
    const ds_dicom_facts *facts; /* NULL: its columns are null */
    ds_text section[DS_FACTS - DS_FACT_SECTION];
    bool has_image, stack; /* stack: the first dimension stands even when it is 1 */
    bool searched;         /* the image's bytes were, for what their own files tell */
    dcm_shape shape;
    uint64_t frame_bytes, at;    /* frames lie one behind the other in fd */
    int fd;                      /* -1: its files were not read (dicomlate.h) */
    const ds_dicom_member *made; /* what the image is made of */
    size_t nmade;
    const ds_dicom_place *const *places; /* shape.frames of them, or none */
    const double *step;                  /* between slices; NULL: not one for all, or one slice */
    bool one_affine;                     /* of the first slice with step, not one for each */
    const uint64_t *sources; /* ordinals from the next that will be told of; NULL: the next */
    size_t nsources;
    const uint64_t *sizes; /* of the sources */
    uint64_t count;        /* patches, of a record without an image of its own */
} ds_dicom_record;

int ds_dicom_schema(ds_schema *s, uint32_t patch, ds_err *err); /* initialised */
#define DS_DICOM_IMAGE 2                                        /* the column of images */
/* *digest, of the image's bytes, is set when r->digests; *count: patches. Both may be NULL. */
int ds_dicom_rows_record(ds_dicom_rows *r, const ds_dicom_record *rec, ds_sha *digest,
                         uint64_t *count, ds_err *err);
/* The image alone, into the open record or that which wants one (dsr_rows.h). */
int ds_dicom_rows_image(ds_dicom_rows *r, const ds_dicom_record *rec, ds_err *err);
/* What an object by itself says in a record: all frames, or one of them (from 0; negative: all).
 * Borrows everything; member->frame is set; *parts owns what had to be made. */
typedef struct ds_dicom_parts {
    ds_buf key, chain;
    const ds_dicom_place **places;
} ds_dicom_parts;
int ds_dicom_rows_object(ds_dicom_record *rec, ds_dicom_parts *parts, const ds_dicom_result *res,
                         int fd, ds_dicom_member *member, int64_t frame, ds_err *err);
void ds_dicom_parts_fini(ds_dicom_parts *parts);
/* Tells the proof of an object's people, before anything of it goes out. *found: its texts hold
 * identifiers, and it is to be left out for that. */
int ds_dicom_rows_look(ds_dicom_rows *r, const ds_dicom_result *res, bool *found, ds_err *err);
/* All records of one object by itself; frames are read from fd, the job's temporary. */
int ds_dicom_rows_put(ds_dicom_rows *r, const ds_dicom_result *res, int fd, ds_dicom_member *member,
                      ds_err *err);
/* What was done to the values of frame `frame`; negative: of all, one array for them or an array of
 * arrays where they differ. Appends. */
int ds_dicom_rows_chain(ds_buf *out, const ds_buf *lines, int64_t frame, ds_err *err);
void ds_dicom_rows_fini(ds_dicom_rows *r);

#endif
