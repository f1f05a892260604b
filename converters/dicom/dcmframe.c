/* dcmframe.c - see dcmshim.h: frames of a file as stored values, whatever holds them. Native pixel
 * data is taken apart here, RLE in dcmrle.c, the rest by dcmcodec.cc. */
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dcmcodec.h"
#include "dcmraw.h"
#include "dcmrle.h"

struct dcm_file {
    dcm_raw *raw;
    dcm_image im;
    dcm_limits lim;
    enum dcm_codec codec;
    bool planar, ybr, ybr422, swap_pairs, ready;
    size_t pixels;   /* of a frame */
    uint32_t *first; /* fragment with which each frame begins; frames + 1 of them */
    ds_buf in, tmp;
};

static unsigned get_num(const dcm_set *s, uint32_t tag, unsigned missing)
{
    int64_t v;
    double real; /* "2.0" */
    if (!dcm_get_int(s, tag, 0, &v) && dcm_get_real(s, tag, 0, &real) && real >= 0 &&
        real <= UINT32_MAX && real == (double)(uint32_t)real)
        return (unsigned)real;
    return dcm_get_int(s, tag, 0, &v) && v >= 0 && v <= UINT32_MAX ? (unsigned)v : missing;
}

/* Everything that the image says of itself; the tree may be changed afterwards. */
static void describe(dcm_file *f, const dcm_set *s)
{
    dcm_image *im = &f->im;
    const char *p;
    size_t n;
    const dcm_elem *e = dcm_set_find(s, dcm_raw_tag(f->raw));
    snprintf(im->syntax, sizeof im->syntax, "%s", dcm_raw_syntax(f->raw));
    im->rows = get_num(s, 0x00280010, 0);
    im->cols = get_num(s, 0x00280011, 0);
    im->samples = get_num(s, 0x00280002, 1);
    im->frames = get_num(s, 0x00280008, 1);
    im->frames = im->frames ? im->frames : 1;
    im->allocated = (uint16_t)get_num(s, 0x00280100, 0);
    im->stored = (uint16_t)get_num(s, 0x00280101, im->allocated);
    im->high = (uint16_t)get_num(s, 0x00280102, im->stored ? im->stored - 1u : 0);
    im->is_signed = get_num(s, 0x00280103, 0) == 1;
    if (dcm_get_text(s, 0x00280004, 0, &p, &n))
        snprintf(im->photometric, sizeof im->photometric, "%.*s", (int)n, p);
    im->recovered = dcm_raw_recovered(f->raw);
    f->planar = get_num(s, 0x00280006, 0) == 1;
    f->ybr = strncmp(im->photometric, "YBR", 3) == 0;
    f->codec = dcm_codec_of(im->syntax);
    f->swap_pairs =
        dcm_raw_big_endian(f->raw) && e && e->vr == DCM_VR('O', 'W') && im->allocated == 8;
}

int dcm_file_open(dcm_file **out, dcm_tree **tree, const dcm_bytes *from, const char *name,
                  const dcm_limits *lim, const char **reason, ds_err *err)
{
    dcm_file *f = *out = calloc(1, sizeof *f);
    *tree = NULL;
    int rc = f ? dcm_raw_open(&f->raw, tree, from, name, lim, reason, err) : ds_fail_nomem(err);
    if (rc == 0) {
        f->lim = *lim;
        describe(f, dcm_tree_main(*tree));
    } else {
        dcm_file_close(f);
        *out = NULL;
    }
    return rc;
}

void dcm_file_close(dcm_file *f)
{
    if (!f)
        return;
    if (f->raw)
        dcm_raw_close(f->raw);
    free(f->first);
    ds_buf_fini(&f->in);
    ds_buf_fini(&f->tmp);
    free(f);
}

static int no(const char **reason, const char *slug, ds_err *err, const char *why)
{
    *reason = slug;
    return ds_fail(err, DS_FAIL, "%s", why);
}

static bool pick_type(dcm_file *f)
{
    dcm_image *im = &f->im;
    uint32_t tag = dcm_raw_tag(f->raw);
    if (tag == 0x7fe00008 || tag == 0x7fe00009) {
        im->dtype = tag == 0x7fe00008 ? DCM_F32 : DCM_F64;
        im->allocated = im->stored = tag == 0x7fe00008 ? 32 : 64;
        return true;
    }
    if (im->allocated != 1 && im->allocated != 8 && im->allocated != 16 && im->allocated != 32)
        return false;
    if (im->stored == 0 || im->stored > im->allocated || im->high >= im->allocated ||
        im->high + 1 < im->stored)
        return false;
    im->dtype = im->allocated <= 8    ? (im->is_signed ? DCM_I8 : DCM_U8)
                : im->allocated == 16 ? (im->is_signed ? DCM_I16 : DCM_U16)
                                      : (im->is_signed ? DCM_I32 : DCM_U32);
    if (im->allocated == 1)
        im->dtype = DCM_U8;
    return true;
}

/* ---- which fragments are a frame ---- */

/* A codestream begins with it: SOI of JPEG and JPEG-LS, SOC of JPEG 2000. */
static int begins(dcm_file *f, uint32_t i, bool *yes, ds_err *err)
{
    ds_buf_reset(&f->in);
    int rc = dcm_raw_fragment(f->raw, i, &f->in, err);
    const uint8_t *p = f->in.data;
    *yes = rc == 0 && f->in.len > 4 && p[0] == 0xff && (p[1] == 0xd8 || p[1] == 0x4f);
    return rc;
}

static int by_table(dcm_file *f, const ds_buf *table, bool *ok)
{
    uint32_t n = dcm_raw_fragments(f->raw), frag = 0;
    uint64_t at = 0;
    *ok = table->len / 4 == f->im.frames;
    for (uint32_t k = 0; k < f->im.frames && *ok; k++) {
        uint32_t want = ds_get_u32(table->data + 4 * (size_t)k);
        while (frag < n && at < want)
            at += 8u + (uint64_t)dcm_raw_fragment_len(f->raw, frag++);
        *ok = at == want && frag < n && (k == 0 || frag > f->first[k - 1]);
        f->first[k] = frag;
    }
    return 0;
}

/* More than one codestream, where one frame is said. */
static int count_surplus(dcm_file *f, ds_err *err)
{
    uint32_t n = dcm_raw_fragments(f->raw);
    bool yes = f->codec != DCM_CODEC_RLE;
    int rc = yes && n > 1 ? begins(f, 0, &yes, err) : 0;
    for (uint32_t i = 1; i < n && rc == 0 && yes && f->codec != DCM_CODEC_RLE; i++) {
        bool more;
        rc = begins(f, i, &more, err);
        f->im.surplus += rc == 0 && more;
    }
    return rc;
}

static int map_fragments(dcm_file *f, const char **reason, ds_err *err)
{
    uint32_t n = dcm_raw_fragments(f->raw), frames = f->im.frames, k = 0;
    ds_buf table = {0};
    bool ok = true, yes;
    if (n < frames)
        return no(reason, "frames-missing", err, "it has fewer fragments than frames");
    f->first = calloc((size_t)frames + 1, sizeof *f->first);
    if (!f->first)
        return ds_fail_nomem(err);
    f->first[frames] = n;
    if (frames == 1)
        return count_surplus(f, err);
    if (n == frames) {
        for (uint32_t i = 0; i < n; i++)
            f->first[i] = i;
        return 0;
    }
    int rc = dcm_raw_offsets(f->raw, &table, err);
    if (rc == 0)
        rc = by_table(f, &table, &ok);
    ds_buf_fini(&table);
    if (rc != 0 || ok)
        return rc;
    for (uint32_t i = 0; i < n && rc == 0; i++) {
        rc = begins(f, i, &yes, err);
        if (rc == 0 && yes && k < frames)
            f->first[k] = i;
        k += rc == 0 && yes;
    }
    if (rc == 0 && (k != frames || f->first[0] != 0))
        return no(reason, "frames-unclear", err, "where its frames begin cannot be told");
    return rc;
}

/* ---- one frame ---- */

/* What a decoder gave, of `bytes` a value, in the width that the image says. */
static int to_width(dcm_file *f, ds_buf *out, unsigned bytes, ds_err *err)
{
    const unsigned size = dcm_sample_size(f->im.dtype);
    const size_t n = f->pixels * f->im.samples;
    if (bytes == 0 || out->len < n * bytes)
        return ds_fail(err, DS_FAIL, "the decoder gave too few values");
    if (bytes != size) {
        ds_buf_reset(&f->tmp);
        if (ds_buf_reserve(&f->tmp, n * size) != 0)
            return ds_fail_nomem(err);
        for (size_t i = 0; i < n; i++)
            for (unsigned b = 0; b < size; b++)
                f->tmp.data[i * size + b] = b < bytes ? out->data[i * bytes + b] : 0;
        const ds_buf wide = f->tmp;
        f->tmp = *out;
        *out = wide;
    }
    out->len = n * size;
    return 0;
}

/* *low: values are in the low bits, wherever the image says that they are. Encoders take cells as
 * they are, with precision up to the high bit, or values. */
static int coded_frame(dcm_file *f, uint32_t frame, ds_buf *out, bool *low, ds_err *err)
{
    dcm_image *im = &f->im;
    dcm_coded is = {0};
    int rc = 0;
    *low = false;
    ds_buf_reset(&f->in);
    for (uint32_t i = f->first[frame]; i < f->first[frame + 1] && rc == 0; i++)
        rc = dcm_raw_fragment(f->raw, i, &f->in, err);
    if (rc != 0)
        return rc;
    if (f->codec == DCM_CODEC_RLE) {
        bool bits = im->allocated == 1;
        size_t n = bits ? f->pixels / 8 + (f->pixels % 8 != 0) : f->pixels;
        return dcm_rle_decode(out, f->in.data, f->in.len, n, im->samples,
                              bits ? 1 : im->allocated / 8u, err);
    }
    im->recovered |= dcm_codec_mend(f->codec, f->in.data, f->in.len, im->rows, im->cols);
    rc = dcm_codec_peek(f->codec, f->in.data, f->in.len, &is, err);
    if (rc == 0 && (is.rows != im->rows || is.cols != im->cols || is.samples != im->samples))
        rc = ds_fail(err, DS_FAIL, "the codestream is of %u x %u x %u", is.rows, is.cols,
                     is.samples);
    if (rc == 0)
        rc = dcm_codec_decode(f->codec, im->syntax, f->in.data, f->in.len, f->ybr, &is, out, err);
    if (rc != 0)
        return rc;
    if (is.rgb && im->samples == 3)
        snprintf(im->photometric, sizeof im->photometric, "RGB");
    *low = is.bits <= im->high;
    return to_width(f, out, is.bytes, err);
}

static void swap_bytes(uint8_t *p, size_t n, unsigned size)
{
    for (size_t i = 0; i + size <= n; i += size)
        for (unsigned k = 0; k < size / 2; k++) {
            uint8_t t = p[i + k];
            p[i + k] = p[i + size - 1 - k];
            p[i + size - 1 - k] = t;
        }
}

static int native_bits(dcm_file *f, uint32_t frame, ds_buf *out, ds_err *err)
{
    size_t n = f->pixels * f->im.samples, first = (size_t)frame * n;
    size_t from = first / 8, to = (first + n + 7) / 8;
    ds_buf_reset(&f->in);
    ds_buf_reset(out);
    if (ds_buf_reserve(&f->in, to - from) != 0 || ds_buf_reserve(out, n) != 0)
        return ds_fail_nomem(err);
    int rc = dcm_raw_read(f->raw, from, f->in.data, to - from, err);
    for (size_t i = 0; i < n && rc == 0; i++)
        out->data[i] = f->in.data[(first + i) / 8 - from] >> (first + i) % 8 & 1;
    out->len = n;
    return rc;
}

static int native_422(dcm_file *f, uint32_t frame, ds_buf *out, ds_err *err)
{
    size_t n = f->pixels * 2;
    ds_buf_reset(&f->in);
    ds_buf_reset(out);
    if (ds_buf_reserve(&f->in, n) != 0 || ds_buf_reserve(out, f->pixels * 3) != 0)
        return ds_fail_nomem(err);
    int rc = dcm_raw_read(f->raw, (uint64_t)frame * n, f->in.data, n, err);
    const uint8_t *p = f->in.data;
    uint8_t *o = out->data;
    for (size_t i = 0; i + 4 <= n && rc == 0; i += 4, p += 4, o += 6) {
        o[0] = p[0];
        o[3] = p[1];
        o[1] = o[4] = p[2];
        o[2] = o[5] = p[3];
    }
    out->len = f->pixels * 3;
    return rc;
}

static int native_frame(dcm_file *f, uint32_t frame, ds_buf *out, ds_err *err)
{
    unsigned size = dcm_sample_size(f->im.dtype);
    size_t n = f->pixels * f->im.samples * size;
    if (f->im.allocated == 1)
        return native_bits(f, frame, out, err);
    if (f->ybr422)
        return native_422(f, frame, out, err);
    ds_buf_reset(out);
    if (ds_buf_reserve(out, n + 2) != 0)
        return ds_fail_nomem(err);
    /* Bytes in words of two: a frame may begin or end within a word. */
    uint64_t at = (uint64_t)frame * n, lead = f->swap_pairs ? at % 2 : 0;
    size_t take = n + lead;
    take += f->swap_pairs && take % 2 && at + n < dcm_raw_len(f->raw);
    int rc = dcm_raw_read(f->raw, at - lead, out->data, take, err);
    if (rc == 0 && dcm_raw_big_endian(f->raw))
        swap_bytes(out->data, take, f->swap_pairs ? 2 : size);
    if (lead && rc == 0)
        memmove(out->data, out->data + lead, n);
    out->len = n;
    return rc;
}

static int interleave(dcm_file *f, ds_buf *out, ds_err *err)
{
    unsigned size = dcm_sample_size(f->im.dtype), samples = f->im.samples;
    ds_buf_reset(&f->tmp);
    if (ds_buf_put(&f->tmp, out->data, out->len) != 0)
        return ds_fail_nomem(err);
    for (unsigned s = 0; s < samples; s++)
        for (size_t i = 0; i < f->pixels; i++)
            memcpy(out->data + (i * samples + s) * size, f->tmp.data + (s * f->pixels + i) * size,
                   size);
    return 0;
}

/* No bits but those of the value. */
static bool is_clean(const dcm_image *im, bool low)
{
    return im->dtype == DCM_F32 || im->dtype == DCM_F64 || im->allocated == 1 ||
           (im->stored == 8 * dcm_sample_size(im->dtype) && (low || im->high + 1u == im->stored));
}

/* Bits that are no part of the value away, the sign where it belongs: with the value's highest bit
 * as sign, (v ^ sign) - sign is v with that bit continued. */
static void clean_bits(const dcm_image *im, uint8_t *p, size_t len, bool low)
{
    const unsigned size = dcm_sample_size(im->dtype), drop = low ? 0 : im->high + 1u - im->stored;
    if (is_clean(im, low))
        return;
    const uint32_t mask = im->stored >= 32 ? UINT32_MAX : (UINT32_C(1) << im->stored) - 1;
    const uint32_t sign = im->is_signed ? UINT32_C(1) << (im->stored - 1) : 0;
    if (size == 2) { /* most images: a loop that compilers make vectors of */
        for (size_t i = 0; i + 2 <= len; i += 2) {
            uint16_t v;
            memcpy(&v, p + i, 2);
            v = htole16((uint16_t)(((le16toh(v) >> drop & mask) ^ sign) - sign));
            memcpy(p + i, &v, 2);
        }
        return;
    }
    for (size_t i = 0; i + size <= len; i += size) {
        uint32_t v = 0;
        for (unsigned b = 0; b < size; b++)
            v |= (uint32_t)p[i + b] << 8 * b;
        v = ((v >> drop & mask) ^ sign) - sign;
        for (unsigned b = 0; b < size; b++)
            p[i + b] = (uint8_t)(v >> 8 * b);
    }
}

static int unpack_bits(dcm_file *f, ds_buf *out, ds_err *err)
{
    size_t n = f->pixels * f->im.samples;
    ds_buf_reset(&f->tmp);
    if (ds_buf_put(&f->tmp, out->data, out->len) != 0 || ds_buf_reserve(out, n) != 0)
        return ds_fail_nomem(err);
    for (size_t i = 0; i < n; i++)
        out->data[i] = f->tmp.data[i / 8] >> i % 8 & 1;
    out->len = n;
    return 0;
}

int dcm_file_frame(dcm_file *f, uint32_t frame, ds_buf *out, const char **reason, ds_err *err)
{
    if (!f->ready || frame >= f->im.frames)
        return no(reason, "frames-missing", err, "there is no such frame");
    *reason = "undecodable";
    if (f->codec == DCM_CODEC_NONE) {
        int rc = native_frame(f, frame, out, err);
        if (rc == 0 && f->planar && f->im.samples > 1 && !f->ybr422)
            rc = interleave(f, out, err);
        if (rc == 0)
            clean_bits(&f->im, out->data, out->len, false);
        return rc;
    }
    bool low;
    int rc = coded_frame(f, frame, out, &low, err);
    if (rc == 0 && f->im.allocated == 1)
        return unpack_bits(f, out, err);
    if (rc == 0)
        clean_bits(&f->im, out->data, out->len, low);
    return rc;
}

bool dcm_file_lend(dcm_file *f, uint32_t frame, const uint8_t **p, size_t *n)
{
    const dcm_image *im = &f->im;
    const uint8_t *all = dcm_raw_bytes(f->raw);
    if (!f->ready || frame >= im->frames || !all || f->codec != DCM_CODEC_NONE ||
        im->allocated % 8 != 0 || f->ybr422 || (f->planar && im->samples > 1) || f->swap_pairs ||
        !is_clean(im, false))
        return false;
    *n = f->pixels * im->samples * dcm_sample_size(im->dtype);
    *p = all + (size_t)frame * *n; /* all frames are there: check_native */
    return true;
}

/* Whether two pixels share their colour. Some writers say so of values of full width. */
static void find_422(dcm_file *f)
{
    dcm_image *im = &f->im;
    const uint64_t len = dcm_raw_len(f->raw), values = (uint64_t)f->pixels * im->samples;
    uint64_t full;
    if (strcmp(im->photometric, "YBR_FULL_422") != 0 || im->samples != 3 || im->allocated != 8)
        return;
    const bool is_full = !__builtin_mul_overflow(values, im->frames, &full) &&
                         (len == full || len == full + full % 2);
    f->ybr422 = im->cols % 2 == 0 && !is_full;
    im->recovered |= is_full;
    snprintf(im->photometric, sizeof im->photometric, "YBR_FULL");
}

/* Native pixel data has to be there in full. */
static int check_native(dcm_file *f, const char **reason, ds_err *err)
{
    uint64_t values = (uint64_t)f->pixels * f->im.samples, all;
    find_422(f);
    uint64_t one = f->ybr422 ? (uint64_t)f->pixels * 2 : values * dcm_sample_size(f->im.dtype);
    if (f->im.allocated == 1)
        one = values;
    if (__builtin_mul_overflow(one, f->im.frames, &all))
        return no(reason, "bad-geometry", err, "its size overflows");
    if (f->im.allocated == 1)
        all = all / 8 + (all % 8 != 0);
    if (dcm_raw_len(f->raw) < all)
        return no(reason, "frames-missing", err, "its pixel data is shorter than it says");
    uint64_t over = dcm_raw_len(f->raw) - all;
    over -= over > 0 && all % 2; /* padding */
    over = f->im.allocated == 1 ? over * 8 / one : over / one;
    f->im.surplus = over > UINT32_MAX ? UINT32_MAX : (uint32_t)over;
    return 0;
}

int dcm_file_image(dcm_file *f, dcm_image *im, const char **reason, ds_err *err)
{
    enum dcm_raw_kind kind = dcm_raw_kind_of(f->raw);
    size_t bytes;
    int rc;
    if (kind == DCM_RAW_NONE)
        return no(reason, "no-pixels", err, "it has no pixel data");
    if (kind == DCM_RAW_FRAGMENTS && f->codec == DCM_CODEC_NONE)
        return no(reason, "unsupported-syntax", err, "nothing here decodes its transfer syntax");
    if (f->im.rows == 0 || f->im.cols == 0 || f->im.samples == 0 || f->im.samples > 4 ||
        !ds_mul_size(f->im.rows, f->im.cols, &f->pixels) || !ds_mul_size(f->pixels, 32, &bytes))
        return no(reason, "bad-geometry", err, "rows, columns or samples make no image");
    if (!pick_type(f))
        return no(reason, "unsupported-bits", err, "its bits allocated and stored make no values");
    if (f->lim.max_frames && f->im.frames > f->lim.max_frames)
        return no(reason, "too-many-frames", err, "it has more frames than there may be");
    bytes = f->pixels * f->im.samples * dcm_sample_size(f->im.dtype);
    if (f->lim.max_frame && bytes > f->lim.max_frame)
        return no(reason, "frame-too-large", err, "its frames are larger than they may be");
    if (kind == DCM_RAW_NATIVE) {
        f->codec = DCM_CODEC_NONE;
        rc = check_native(f, reason, err);
    } else {
        rc = map_fragments(f, reason, err);
    }
    if (rc == 0) {
        f->ready = true;
        /* Whether colour was converted shows in a frame alone. */
        if (f->codec != DCM_CODEC_NONE && f->codec != DCM_CODEC_RLE && f->im.samples == 3) {
            ds_buf first = {0};
            rc = dcm_file_frame(f, 0, &first, reason, err);
            ds_buf_fini(&first);
        }
    }
    *im = f->im;
    return rc;
}
