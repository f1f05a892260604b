/* failalloc.c - preloaded, makes one allocation of the program itself fail.
 *
 * DS_FAIL_ALLOC=N: the N-th call of malloc, calloc, realloc, reallocarray, strdup or strndup made
 * by the program returns NULL with ENOMEM; calls made by its libraries are neither counted nor
 * failed, since theirs are not ours to test. DS_FAIL_COUNT=FILE: the number of calls is written
 * there at exit.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);

static uintptr_t text_from, text_to; /* where the program's own code lies */
static atomic_long calls;
static long fail_at;

static int find_program(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    (void)arg;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *h = &info->dlpi_phdr[i];
        if (h->p_type == PT_LOAD && (h->p_flags & PF_X)) {
            text_from = info->dlpi_addr + h->p_vaddr;
            text_to = text_from + h->p_memsz;
        }
    }
    return 1; /* the program comes first */
}

__attribute__((constructor)) static void begin(void)
{
    const char *at = getenv("DS_FAIL_ALLOC");
    fail_at = at ? strtol(at, NULL, 10) : 0;
    dl_iterate_phdr(find_program, NULL);
}

__attribute__((destructor)) static void end(void)
{
    const char *path = getenv("DS_FAIL_COUNT");
    char text[32];
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600) : -1;
    if (fd < 0)
        return;
    int n = snprintf(text, sizeof text, "%ld\n", atomic_load(&calls));
    if (write(fd, text, (size_t)n) != n)
        _exit(99);
    close(fd);
}

/* Is this call, made from `from`, the one that fails? */
static int fails(const void *from)
{
    uintptr_t at = (uintptr_t)from;
    if (at < text_from || at >= text_to)
        return 0;
    if (atomic_fetch_add(&calls, 1) + 1 != fail_at)
        return 0;
    errno = ENOMEM;
    return 1;
}

#define FROM __builtin_return_address(0)

__attribute__((visibility("default"))) void *malloc(size_t n)
{
    return fails(FROM) ? NULL : __libc_malloc(n);
}

__attribute__((visibility("default"))) void *calloc(size_t n, size_t size)
{
    return fails(FROM) ? NULL : __libc_calloc(n, size);
}

__attribute__((visibility("default"))) void *realloc(void *p, size_t n)
{
    return fails(FROM) ? NULL : __libc_realloc(p, n);
}

__attribute__((visibility("default"))) void *reallocarray(void *p, size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return fails(FROM) ? NULL : __libc_realloc(p, bytes);
}

__attribute__((visibility("default"))) char *strdup(const char *s)
{
    size_t n = strlen(s) + 1;
    char *p = fails(FROM) ? NULL : __libc_malloc(n);
    return p ? memcpy(p, s, n) : NULL;
}

__attribute__((visibility("default"))) char *strndup(const char *s, size_t most)
{
    size_t n = strnlen(s, most);
    char *p = fails(FROM) ? NULL : __libc_malloc(n + 1);
    if (p) {
        memcpy(p, s, n);
        p[n] = '\0';
    }
    return p;
}
