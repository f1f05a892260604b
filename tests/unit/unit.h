/* unit.h - what every unit test includes: cmocka, and a folder of its own to write in.
 *
 * unit_dir() makes the folder on its first call, below TMPDIR; unit_path(name) is a path in it,
 * good until the fourth call after. unit_dir_remove() empties and removes it: a group teardown. */
#ifndef DS_UNIT_H
#define DS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

const char *unit_dir(void);
const char *unit_path(const char *name);
int unit_dir_remove(void **state);
/* Whole small file, NUL-terminated; the caller frees. Fails the test when it cannot. */
char *unit_read(const char *path, size_t *len);
void unit_write(const char *path, const void *data, size_t len);

#endif
