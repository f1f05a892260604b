// dcmcodec.cc - see dcmcodec.h. DCMTK's decoders want a data set around a frame: each gets one that
// holds what the codestream itself says, and nothing of the file.
#include <dcmtk/config/osconfig.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include <openjpeg.h>

#include <dcmtk/dcmdata/dcpixel.h>
#include <dcmtk/dcmdata/dcpixseq.h>
#include <dcmtk/dcmdata/dcpxitem.h>
#include <dcmtk/dcmdata/dctk.h>

extern "C" {
#include "dcmcodec.h"
}

namespace {

struct Syntax {
    const char *uid;
    dcm_codec codec;
    E_TransferSyntax xfer;
};

const Syntax syntaxes[] = {
    {"1.2.840.10008.1.2.5", DCM_CODEC_RLE, EXS_RLELossless},
    {"1.2.840.10008.1.2.4.50", DCM_CODEC_JPEG, EXS_JPEGProcess1},
    {"1.2.840.10008.1.2.4.51", DCM_CODEC_JPEG, EXS_JPEGProcess2_4},
    {"1.2.840.10008.1.2.4.53", DCM_CODEC_JPEG, EXS_JPEGProcess6_8},
    {"1.2.840.10008.1.2.4.55", DCM_CODEC_JPEG, EXS_JPEGProcess10_12},
    {"1.2.840.10008.1.2.4.57", DCM_CODEC_JPEG, EXS_JPEGProcess14},
    {"1.2.840.10008.1.2.4.70", DCM_CODEC_JPEG, EXS_JPEGProcess14SV1},
    {"1.2.840.10008.1.2.4.80", DCM_CODEC_JPEGLS, EXS_JPEGLSLossless},
    {"1.2.840.10008.1.2.4.81", DCM_CODEC_JPEGLS, EXS_JPEGLSLossy},
    {"1.2.840.10008.1.2.4.90", DCM_CODEC_J2K, EXS_JPEG2000LosslessOnly},
    {"1.2.840.10008.1.2.4.91", DCM_CODEC_J2K, EXS_JPEG2000},
    {"1.2.840.10008.1.2.4.92", DCM_CODEC_J2K, EXS_JPEG2000MulticomponentLosslessOnly},
    {"1.2.840.10008.1.2.4.93", DCM_CODEC_J2K, EXS_JPEG2000Multicomponent},
    {"1.2.840.10008.1.2.4.201", DCM_CODEC_J2K, EXS_JPEG2000LosslessOnly}, // HTJ2K
    {"1.2.840.10008.1.2.4.202", DCM_CODEC_J2K, EXS_JPEG2000LosslessOnly},
    {"1.2.840.10008.1.2.4.203", DCM_CODEC_J2K, EXS_JPEG2000},
};

const Syntax *find(const char *uid)
{
    for (const Syntax &s : syntaxes)
        if (strcmp(s.uid, uid) == 0)
            return &s;
    return nullptr;
}

// ---- JPEG and JPEG-LS ----

struct Header {
    dcm_coded is;
    unsigned sof; // the marker's second byte
    int adobe;    // its transform, or -1
    bool jfif, ids_rgb, sub;
};

unsigned be16(const uint8_t *p)
{
    return (unsigned)(p[0] << 8 | p[1]);
}

// Markers up to the frame header, which must come before any data.
int scan_jpeg(const uint8_t *p, size_t len, Header *h, ds_err *err)
{
    *h = Header();
    h->adobe = -1;
    size_t at = 0;
    while (at + 1 < len && !(p[at] == 0xff && p[at + 1] == 0xd8))
        at++; // padding, which some writers put first
    for (at += 2; at + 4 <= len;) {
        if (p[at] != 0xff || p[at + 1] == 0xff || p[at + 1] == 0) {
            at++;
            continue;
        }
        unsigned m = p[at + 1];
        size_t n = be16(p + at + 2);
        const uint8_t *b = p + at + 4;
        if (m == 0xda || n < 2 || at + 2 + n > len)
            break;
        if (m == 0xee && n >= 14 && memcmp(b, "Adobe", 5) == 0)
            h->adobe = b[11];
        else if (m == 0xe0 && n >= 7 && memcmp(b, "JFIF", 5) == 0)
            h->jfif = true;
        else if ((m == 0xf7 || (m >= 0xc0 && m <= 0xcf)) && m != 0xc4 && m != 0xc8 && m != 0xcc &&
                 n >= 8 && n >= 8u + 3u * b[5]) {
            h->sof = m;
            h->is.bits = b[0];
            h->is.rows = be16(b + 1);
            h->is.cols = be16(b + 3);
            h->is.samples = b[5];
            h->ids_rgb = b[5] == 3 && b[6] == 'R' && b[9] == 'G' && b[12] == 'B';
            h->is.bytes = h->is.bits <= 8 ? 1 : 2;
            if (h->is.bits < 2 || h->is.bits > 16 || !h->is.rows || !h->is.cols || !h->is.samples)
                break;
            return 0;
        }
        at += 2 + n;
    }
    return ds_fail(err, DS_FAIL, "no JPEG frame header that can be used");
}

// Whether three components are YCbCr: the codestream's own word counts more than the data set's.
bool is_ycc(const Header &h, bool declared)
{
    if (h.is.samples != 3 || h.sof == 0xf7)
        return false;
    if (h.adobe >= 0)
        return h.adobe == 1;
    if (h.ids_rgb)
        return false;
    if (h.jfif && h.sof <= 0xc2)
        return true;
    return declared;
}

int decode_jpeg(const Syntax *s, const uint8_t *p, size_t len, bool ybr, dcm_coded *is, ds_buf *out,
                ds_err *err)
{
    Header h;
    int rc = scan_jpeg(p, len, &h, err);
    if (rc != 0)
        return rc;
    bool ycc = is_ycc(h, ybr);
    *is = h.is;
    is->rgb = h.is.samples == 3 && (ycc || !ybr);
    // DCMTK picks its decoder by the syntax: one that lies is corrected.
    E_TransferSyntax xfer = s->xfer;
    if (h.sof == 0xc3)
        xfer = s->xfer == EXS_JPEGProcess14 ? s->xfer : EXS_JPEGProcess14SV1;
    else if (h.sof == 0xf7)
        xfer = s->codec == DCM_CODEC_JPEGLS ? s->xfer : EXS_JPEGLSLossless;
    else if (h.sof <= 0xc1)
        xfer = h.is.bits > 8 ? EXS_JPEGProcess2_4 : EXS_JPEGProcess1;
    else if (h.sof == 0xc2)
        xfer = EXS_JPEGProcess10_12;
    DcmDataset set;
    set.putAndInsertUint16(DCM_Rows, (Uint16)h.is.rows);
    set.putAndInsertUint16(DCM_Columns, (Uint16)h.is.cols);
    set.putAndInsertUint16(DCM_SamplesPerPixel, (Uint16)h.is.samples);
    set.putAndInsertUint16(DCM_BitsAllocated, (Uint16)(h.is.bytes * 8));
    set.putAndInsertUint16(DCM_BitsStored, (Uint16)h.is.bits);
    set.putAndInsertUint16(DCM_HighBit, (Uint16)(h.is.bits - 1));
    set.putAndInsertUint16(DCM_PixelRepresentation, 0);
    if (h.is.samples > 1)
        set.putAndInsertUint16(DCM_PlanarConfiguration, 0);
    set.putAndInsertString(DCM_NumberOfFrames, "1");
    set.putAndInsertString(DCM_PhotometricInterpretation, h.is.samples == 1 ? "MONOCHROME2"
                                                          : ycc             ? "YBR_FULL"
                                                                            : "RGB");
    size_t bytes = (size_t)h.is.rows * h.is.cols;
    if (!ds_mul_size(bytes, (size_t)h.is.samples * h.is.bytes, &bytes) || bytes > UINT32_MAX - 2)
        return ds_fail(err, DS_FAIL, "a frame of more than 4 GiB");
    out->len = 0;
    if (ds_buf_reserve(out, bytes + 2) != 0)
        return ds_fail_nomem(err);
    DcmPixelSequence *seq = new DcmPixelSequence(DcmTag(DCM_PixelData, EVR_OB));
    DcmPixelItem *bot = new DcmPixelItem(DcmTag(DCM_Item, EVR_OB));
    DcmPixelItem *one = new DcmPixelItem(DcmTag(DCM_Item, EVR_OB));
    seq->insert(bot);
    seq->insert(one);
    DcmPixelData pixels(DcmTag(DCM_PixelData, EVR_OB));
    OFCondition c = one->putUint8Array(p, (unsigned long)len);
    pixels.putOriginalRepresentation(xfer, nullptr, seq); // owns seq from here on
    OFString model;
    Uint32 fragment = 1;
    if (c.good())
        c = pixels.getUncompressedFrame(&set, 0, fragment, out->data, (Uint32)(bytes + bytes % 2),
                                        model);
    if (c.bad())
        return ds_fail(err, DS_FAIL, "cannot be decompressed: %s", c.text());
    out->len = bytes;
    return 0;
}

// ---- JPEG 2000 ----

struct Memory {
    const uint8_t *p;
    size_t len, at;
};

OPJ_SIZE_T mem_read(void *to, OPJ_SIZE_T n, void *ctx)
{
    Memory *m = static_cast<Memory *>(ctx);
    if (m->at >= m->len)
        return (OPJ_SIZE_T)-1;
    OPJ_SIZE_T k = n < m->len - m->at ? n : m->len - m->at;
    memcpy(to, m->p + m->at, k);
    m->at += k;
    return k;
}

OPJ_OFF_T mem_skip(OPJ_OFF_T n, void *ctx)
{
    Memory *m = static_cast<Memory *>(ctx);
    if (n < 0 || (size_t)n > m->len - m->at) {
        m->at = m->len;
        return -1;
    }
    m->at += (size_t)n;
    return n;
}

OPJ_BOOL mem_seek(OPJ_OFF_T n, void *ctx)
{
    Memory *m = static_cast<Memory *>(ctx);
    if (n < 0 || (size_t)n > m->len)
        return OPJ_FALSE;
    m->at = (size_t)n;
    return OPJ_TRUE;
}

void on_error(const char *msg, void *ctx)
{
    ds_err *e = static_cast<ds_err *>(ctx);
    size_t n = strcspn(msg, "\n");
    ds_fail(e, DS_FAIL, "cannot be decompressed: %.*s", (int)(n < 200 ? n : 200), msg);
}

void on_words(const char *, void *) {}

struct J2k {
    opj_codec_t *codec = nullptr;
    opj_stream_t *stream = nullptr;
    opj_image_t *image = nullptr;
    Memory mem;
    ~J2k()
    {
        if (image)
            opj_image_destroy(image);
        if (stream)
            opj_stream_destroy(stream);
        if (codec)
            opj_destroy_codec(codec);
    }
};

int j2k_threads; // of this process

int open_j2k(J2k *j, const uint8_t *p, size_t len, int threads, dcm_coded *is, ds_err *err)
{
    static const uint8_t jp2[] = {0, 0, 0, 12, 'j', 'P', ' ', ' '};
    bool boxed = len >= sizeof jp2 && memcmp(p, jp2, sizeof jp2) == 0;
    opj_dparameters_t prm;
    j->mem = Memory{p, len, 0};
    j->codec = opj_create_decompress(boxed ? OPJ_CODEC_JP2 : OPJ_CODEC_J2K);
    j->stream = opj_stream_create(1 << 16, OPJ_TRUE);
    if (!j->codec || !j->stream)
        return ds_fail_nomem(err);
    opj_set_default_decoder_parameters(&prm);
    opj_set_error_handler(j->codec, on_error, err);
    opj_set_warning_handler(j->codec, on_words, nullptr);
    opj_set_info_handler(j->codec, on_words, nullptr);
    opj_stream_set_read_function(j->stream, mem_read);
    opj_stream_set_skip_function(j->stream, mem_skip);
    opj_stream_set_seek_function(j->stream, mem_seek);
    opj_stream_set_user_data(j->stream, &j->mem, nullptr);
    opj_stream_set_user_data_length(j->stream, len);
    bool ready = opj_setup_decoder(j->codec, &prm);
    if (ready && threads > 1 && opj_has_thread_support())
        opj_codec_set_threads(j->codec, threads);
    if (!ready || !opj_read_header(j->stream, j->codec, &j->image))
        return ds_fail(err, DS_FAIL, "no JPEG 2000 header that can be used");
    const opj_image_t *im = j->image;
    if (im->numcomps < 1 || im->numcomps > 4 || im->x1 <= im->x0 || im->y1 <= im->y0)
        return ds_fail(err, DS_FAIL, "an image of %u components", im->numcomps);
    *is = dcm_coded();
    is->rows = im->y1 - im->y0;
    is->cols = im->x1 - im->x0;
    is->samples = im->numcomps;
    for (OPJ_UINT32 i = 0; i < im->numcomps; i++) {
        is->bits = im->comps[i].prec > is->bits ? im->comps[i].prec : is->bits;
        is->is_signed |= im->comps[i].sgnd != 0;
        if (im->comps[i].dx < 1 || im->comps[i].dy < 1 || im->comps[i].prec > 32)
            return ds_fail(err, DS_FAIL, "a component that is no image");
    }
    is->bytes = is->bits <= 8 ? 1 : is->bits <= 16 ? 2 : 4;
    return 0;
}

template <typename T> void interleave(const opj_image_t *im, const dcm_coded *is, T *to)
{
    for (OPJ_UINT32 c = 0; c < im->numcomps; c++) {
        const opj_image_comp_t &k = im->comps[c];
        for (uint32_t y = 0; y < is->rows; y++) {
            uint32_t cy = y / k.dy < k.h ? y / k.dy : k.h - 1;
            const OPJ_INT32 *row = k.data + (size_t)cy * k.w;
            T *dst = to + ((size_t)y * is->cols) * is->samples + c;
            if (k.dx == 1 && k.w == is->cols)
                for (uint32_t x = 0; x < is->cols; x++)
                    dst[(size_t)x * is->samples] = (T)row[x];
            else
                for (uint32_t x = 0; x < is->cols; x++)
                    dst[(size_t)x * is->samples] = (T)row[x / k.dx < k.w ? x / k.dx : k.w - 1];
        }
    }
}

int decode_j2k(const uint8_t *p, size_t len, dcm_coded *is, ds_buf *out, ds_err *err)
{
    J2k j;
    int rc = open_j2k(&j, p, len, j2k_threads, is, err);
    if (rc != 0)
        return rc;
    opj_decoder_set_strict_mode(j.codec, OPJ_FALSE);
    if (!opj_decode(j.codec, j.stream, j.image))
        return ds_fail(err, DS_FAIL, "cannot be decompressed");
    size_t bytes = (size_t)is->rows * is->cols;
    if (!ds_mul_size(bytes, (size_t)is->samples * is->bytes, &bytes))
        return ds_fail_nomem(err);
    for (OPJ_UINT32 c = 0; c < j.image->numcomps; c++)
        if (!j.image->comps[c].data || !j.image->comps[c].w || !j.image->comps[c].h)
            return ds_fail(err, DS_FAIL, "a component without data");
    out->len = 0;
    if (ds_buf_reserve(out, bytes) != 0)
        return ds_fail_nomem(err);
    if (is->bytes == 1)
        interleave(j.image, is, out->data);
    else if (is->bytes == 2)
        interleave(j.image, is, reinterpret_cast<uint16_t *>(out->data));
    else
        interleave(j.image, is, reinterpret_cast<uint32_t *>(out->data));
    out->len = bytes;
    return 0;
}

// Whether the codestream undoes a colour transform of its own: COD, SGcod.
bool has_mct(const uint8_t *p, size_t len)
{
    for (size_t at = 0; at + 9 < len; at++)
        if (p[at] == 0xff && p[at + 1] == 0x52)
            return p[at + 8] != 0;
    return false;
}

} // namespace

extern "C" enum dcm_codec dcm_codec_of(const char *syntax)
{
    const Syntax *s = find(syntax);
    return s ? s->codec : DCM_CODEC_NONE;
}

extern "C" void dcm_codec_threads(int n)
{
    j2k_threads = n;
}

extern "C" int dcm_codec_peek(enum dcm_codec c, const uint8_t *p, size_t len, dcm_coded *is,
                              ds_err *err)
{
    try {
        if (c == DCM_CODEC_J2K) {
            J2k j;
            return open_j2k(&j, p, len, 0, is, err);
        }
        Header h;
        int rc = scan_jpeg(p, len, &h, err);
        *is = h.is;
        return rc;
    } catch (...) {
        return ds_fail(err, DS_FAIL, "cannot be decompressed");
    }
}

// SIZ: Lsiz, Rsiz, then from byte 8 on Xsiz, Ysiz, XOsiz, YOsiz, XTsiz, YTsiz, XTOsiz, YTOsiz.
extern "C" bool dcm_codec_mend(enum dcm_codec c, uint8_t *p, size_t len, uint32_t rows,
                               uint32_t cols)
{
    static const uint8_t start[] = {0xff, 0x4f, 0xff, 0x51};
    uint32_t v[8];
    if (c != DCM_CODEC_J2K || len < 40 || memcmp(p, start, sizeof start) != 0)
        return false;
    for (int i = 0; i < 8; i++)
        v[i] = (uint32_t)be16(p + 8 + 4 * i) << 16 | be16(p + 10 + 4 * i);
    if ((v[0] == cols && v[1] == rows) || v[2] || v[3] || v[4] != cols || v[5] != rows || v[6] ||
        v[7])
        return false;
    memcpy(p + 8, p + 24, 8);
    return true;
}

extern "C" int dcm_codec_decode(enum dcm_codec c, const char *syntax, const uint8_t *p, size_t len,
                                bool ybr, dcm_coded *is, ds_buf *out, ds_err *err)
{
    try {
        const Syntax *s = find(syntax);
        if (c == DCM_CODEC_J2K) {
            int rc = decode_j2k(p, len, is, out, err);
            is->rgb = is->samples == 3 && (!ybr || has_mct(p, len));
            return rc;
        }
        if (!s)
            return ds_fail(err, DS_FAIL, "no decoder");
        return decode_jpeg(s, p, len, ybr, is, out, err);
    } catch (const std::bad_alloc &) {
        return ds_fail_nomem(err);
    } catch (const std::exception &e) {
        return ds_fail(err, DS_FAIL, "cannot be decompressed: %s", e.what());
    } catch (...) {
        return ds_fail(err, DS_FAIL, "cannot be decompressed");
    }
}
