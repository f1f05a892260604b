/* dcmdeid.h - de-identification by PS3.15 Annex E: who was it, and what is done to every attribute.
 *
 * Keyed and stateless: the same input, policy and key give the same output everywhere, and no map
 * is kept. A policy is read only and shared; a tree is changed in place. What a file's identifiers
 * were is collected in an id set (dcmproof.h) before anything is changed, so that the finished
 * output can be searched for them.
 */
#ifndef DS_DCMDEID_H
#define DS_DCMDEID_H

#include "dcmproof.h"
#include "dcmtree.h"
#include "hash.h"

/* "none", or "basic" and options by name, comma separated: retain-safe-private retain-uids
 * retain-device retain-institution retain-patient-characteristics retain-full-dates
 * retain-modified-dates clean-descriptors clean-structured-content clean-graphics clean-pixel-data
 * clean-visual-features. */
typedef struct dcm_policy dcm_policy;
int dcm_policy_parse(dcm_policy **p, const char *text,
                     ds_err *err);                    /* DS_USAGE names what is wrong */
const char *dcm_policy_text(const dcm_policy *p);     /* canonical order */
const ds_sha *dcm_policy_digest(const dcm_policy *p); /* of the effective table: for provenance */
bool dcm_policy_none(const dcm_policy *p);
/* Private elements that are kept besides the built-in list under retain-safe-private: lines of a
 * creator, a tab and gggg,xxee; `#` begins a comment. */
int dcm_policy_safe_file(dcm_policy *p, const char *path, ds_err *err);
/* Texts that are identifiers of every file, a line each: the site's own names, say. They are
 * scrubbed and searched for like those that a file holds itself. */
int dcm_policy_also_file(dcm_policy *p, const char *path, ds_err *err);
/* Hands on the lines of a file, without their ends, but comments (#) and empty ones. */
typedef int dcm_line_fn(void *ctx, const char *line, const char *path, unsigned n, ds_err *err);
int dcm_lines_each(const char *path, dcm_line_fn *take, void *ctx, ds_err *err);
void dcm_policy_free(dcm_policy *p);

typedef struct dcm_key {
    uint8_t secret[32];
    char id[17]; /* names the key without telling it */
} dcm_key;
/* A file of at least 32 random bytes (raw, hex or base64 text is told apart and said in the help),
 * not readable by others (0077) */
int dcm_key_read(dcm_key *k, const char *path, ds_err *err);

enum dcm_action {
    DCM_ACT_KEEP,
    DCM_ACT_REMOVE,
    DCM_ACT_EMPTY,
    DCM_ACT_DUMMY,
    DCM_ACT_UID,
    DCM_ACT_CLEAN,
    DCM_ACT_SHIFT,
    DCM_ACTS
};
/* How often each attribute met each action. Attributes past the first so many, which no files hold
 * but those that are made for it, are counted together under a tag that there is not. */
#define DCM_ACTIONS_MAX 65536
#define DCM_ACTIONS_MORE UINT32_MAX
typedef struct dcm_actions dcm_actions;
int dcm_actions_new(dcm_actions **a, ds_err *err);
int dcm_actions_add(dcm_actions *a, uint32_t tag, const char *creator, enum dcm_action act,
                    uint64_t n, ds_err *err);
int dcm_actions_json(const dcm_actions *a, ds_buf *out, ds_err *err); /* sorted by tag */
typedef void dcm_actions_fn(void *ctx, uint32_t tag, const char *creator, enum dcm_action act,
                            uint64_t n);
void dcm_actions_each(const dcm_actions *a, dcm_actions_fn *fn, void *ctx); /* in any order */
void dcm_actions_free(dcm_actions *a);

/* What is to become of the pixels. */
enum dcm_pixels { DCM_PIX_PASS, DCM_PIX_MASK, DCM_PIX_HOLD };
typedef struct dcm_box {
    uint32_t x0, y0, x1, y1; /* both ends included */
} dcm_box;
typedef struct dcm_verdict {
    enum dcm_pixels pixels;
    bool keep_inside; /* MASK: zero all outside of the boxes; else all inside */
    dcm_box boxes[32];
    unsigned nboxes;
    /* slug of HOLD and MASK: "burned-in-annotation", "secondary-capture", ... */
    const char *reason;
    bool already; /* the input says that it is de-identified (0012,0062 YES) */
    bool hold;    /* the whole object is held (encapsulated document, ...), reason says why */
} dcm_verdict;

/* What the rules say of a file as it came; dcm_deid_run asks them too. */
void dcm_burned_in(const dcm_tree *t, dcm_verdict *v);
/* The whole object is held where a person could be recognised by what it shows. */
void dcm_recognizable(const dcm_tree *t, dcm_verdict *v);
/* Collects identifiers into ids (may be NULL), then de-identifies meta and main. Text is UTF-8
 * afterwards (dcm_tree_utf8: call it before with the fallback of the site). ids holds the dates of
 * this file too, so it is best one set a file, merged into larger ones (dcm_ids_merge leaves dates
 * out). The same patient has the same (0010,0020) everywhere: a keyed pseudonym, as have accession
 * number and study id. A file that this tool wrote with the same key keeps its pseudonyms, UIDs and
 * dates; one that says of itself that its dates are modified or removed keeps its dates.
 */
int dcm_deid_run(dcm_tree *t, const dcm_policy *p, const dcm_key *k, dcm_ids *ids,
                 dcm_actions *acts, dcm_verdict *v, ds_err *err);
/* Keyed pseudonyms: hex of HMAC-SHA256(key, kind NUL value), n bytes of it. kind: "patient",
 * "study", "source-name", ... */
int dcm_pseudonym(char *out, size_t nbytes, const dcm_key *k, const char *kind, const void *p,
                  size_t len, ds_err *err);
/* UIDs: "2.25." and a number made of the first 16 bytes of HMAC-SHA256(key, "uid" NUL uid); those
 * of the standard itself stay. */
int dcm_uid_map(char out[65], const dcm_key *k, const char *uid, size_t len, ds_err *err);

#endif
