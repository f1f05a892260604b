/* sharedobj.h - parts of a program that are loaded when they are asked for: what they need
 * (CUDA, MPI) need not be there, neither to build nor to run the rest.
 *
 * They are looked for as ../lib/FILE from the folder of the running program, unless an environment
 * variable names another file. What is loaded stays loaded: neither CUDA's run time nor MPI likes
 * to go.
 */
#ifndef DS_SHAREDOBJ_H
#define DS_SHAREDOBJ_H

#ifdef __cplusplus
extern "C" {
#endif
#include "error.h"

typedef void ds_so_fn(void);

typedef struct ds_so_part {
    const char *file, *env;        /* "libds-cuda.so"; the variable that names another */
    const char *symbol;            /* its one function */
    const char *missing, *instead; /* for who lacks it: "no CUDA here", and what can be done */
} ds_so_part;

/* *fn: the part's function; cast it to what it is. */
int ds_so_find(ds_so_fn **fn, const ds_so_part *part, ds_err *err);

#ifdef __cplusplus
}
#endif
#endif
