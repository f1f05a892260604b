/* packmark.c - see packmark.h. */
#include "packmark.h"

#include <string.h>
#include <strings.h>

/* zstd, or frames of it without data, which some writers begin with (RFC 8878, section 3.1.2). */
static bool is_zstd(const uint8_t *p, size_t len)
{
    while (len >= 8 && (p[0] & 0xf0) == 0x50 && memcmp(p + 1, "\x2a\x4d\x18", 3) == 0) {
        const size_t all =
            8 + ((size_t)p[4] | (size_t)p[5] << 8 | (size_t)p[6] << 16 | (size_t)p[7] << 24);
        if (all >= len)
            return true;
        p += all;
        len -= all;
    }
    return len >= 4 && memcmp(p, "\x28\xb5\x2f\xfd", 4) == 0;
}

enum ds_packing ds_packmark_sniff(const uint8_t *p, size_t len)
{
    if (len >= 4 && p[0] == 0x1f && p[1] == 0x8b && p[2] == 8 && (p[3] & 0xe0) == 0)
        return DS_PACK_GZ;
    if (len >= 6 && memcmp(p,
                           "\xfd"
                           "7zXZ",
                           6) == 0)
        return DS_PACK_XZ;
    if (is_zstd(p, len))
        return DS_PACK_ZST;
    if (len >= 10 && memcmp(p, "BZh", 3) == 0 && p[3] >= '1' && p[3] <= '9' &&
        (memcmp(p + 4, "1AY&SY", 6) == 0 || memcmp(p + 4, "\x17\x72\x45\x38\x50\x90", 6) == 0))
        return DS_PACK_BZ2;
    if (len >= 4 && (memcmp(p, "PK\3\4", 4) == 0 || memcmp(p, "PK\5\6", 4) == 0))
        return DS_PACK_ZIP;
    if (len >= 6 && memcmp(p, "7z\xbc\xaf\x27\x1c", 6) == 0)
        return DS_PACK_7Z;
    if (len < 512 || memcmp(p + 257, "ustar", 5) != 0)
        return DS_PACK_NONE;
    unsigned long sum = 0, said = 0;
    for (size_t i = 0; i < 512; i++)
        sum += i >= 148 && i < 156 ? ' ' : p[i];
    for (size_t i = 148; i < 156; i++)
        if (p[i] >= '0' && p[i] <= '7')
            said = said << 3 | (unsigned long)(p[i] - '0');
    return sum == said ? DS_PACK_TAR : DS_PACK_NONE;
}

static bool ends_with(const char *name, const char *const *list)
{
    size_t n = strlen(name);
    for (; *list; list++) {
        size_t k = strlen(*list);
        if (n > k && strcasecmp(name + n - k, *list) == 0)
            return true;
    }
    return false;
}

size_t ds_packmark_bare(const char *name)
{
    static const char *const one[][2] = {
        {".gz", NULL}, {".xz", NULL}, {".zst", NULL}, {".bz2", NULL}};
    for (size_t i = 0; i < 4; i++)
        if (ends_with(name, one[i]))
            return strlen(name) - strlen(one[i][0]);
    return strlen(name);
}

bool ds_packmark_is_packed(const char *name)
{
    static const char *const list[] = {".gz",  ".xz",   ".zst",  ".bz2", ".tar", ".tgz",
                                       ".txz", ".tbz2", ".tzst", ".zip", ".7z",  NULL};
    return ends_with(name, list);
}

bool ds_packmark_is_document(const char *name)
{
    static const char *const list[] = {".docx", ".xlsx", ".pptx", ".odt", ".ods", ".odp",   ".epub",
                                       ".jar",  ".war",  ".apk",  ".whl", ".xpi", ".nupkg", NULL};
    return ends_with(name, list);
}
