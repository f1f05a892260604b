/* sign.h - signatures of versions, tags and erasures, as git makes and verifies them.
 *
 * What is signed is the git object, whose message holds the root of the data (SHA-256): so a
 * signature holds for the data and not only for git's SHA-1. gpg.format (openpgp, ssh, x509),
 * user.signingkey, gpg.program and the like are git's settings, from the store's configuration,
 * else the user's. Keys stay with gpg and ssh-keygen, which are run; verifying is git's own.
 *
 * DS_FAIL when there is no key or the program refuses.
 */
#ifndef DS_SIGN_H
#define DS_SIGN_H

#include <git2.h>
#include <stdbool.h>

#include "buf.h"

enum ds_signing {
    DS_SIGN_CONFIG, /* when commit.gpgsign (of tags: tag.gpgsign) says so */
    DS_SIGN_YES,
    DS_SIGN_NO
};

typedef struct ds_signer ds_signer;

/* *out = NULL: nothing is to be signed. store: its folder. who: "Name <mail>", whose key is taken
 * when no other is named (openpgp, x509). */
int ds_signer_find(ds_signer **out, const char *store, enum ds_signing want, bool tag,
                   const char *who, ds_err *err);
void ds_signer_free(ds_signer *s); /* NULL is fine */
/* The signature of these bytes, armoured, ending in a newline. */
int ds_sign(ds_buf *out, const ds_signer *s, const void *data, size_t len, ds_err *err);

typedef struct ds_verdict {
    bool is_signed, good;
    bool untrusted; /* not good, as the key is unknown, expired or revoked: not as what was signed
                       is another */
    ds_buf said;    /* NUL-terminated: who, by which key, or what is wrong */
} ds_verdict;
/* A commit or a tag's object of the catalog in `dir`. 0 also when it is not signed, or badly. */
int ds_verify(ds_verdict *v, const char *store, git_repository *repo, const git_oid *id,
              ds_err *err);
const char *ds_verdict_word(const ds_verdict *v); /* "good", "untrusted", "bad", "none" */
void ds_verdict_fini(ds_verdict *v);

#endif
