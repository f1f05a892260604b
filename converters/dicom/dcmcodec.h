/* dcmcodec.h - one compressed frame to samples: JPEG and JPEG-LS by DCMTK, JPEG 2000 and HTJ2K by
 * OpenJPEG.
 *
 * The bytes are one frame, fragments joined. Stateless but for the decoders' own set-up
 * (dcm_shim_init). No exception crosses it.
 */
#ifndef DS_DCMCODEC_H
#define DS_DCMCODEC_H

#include "dcmshim.h"

#ifdef __cplusplus
extern "C" {
#endif

enum dcm_codec { DCM_CODEC_NONE, DCM_CODEC_RLE, DCM_CODEC_JPEG, DCM_CODEC_JPEGLS, DCM_CODEC_J2K };
/* DCM_CODEC_NONE for a transfer syntax that is not compressed, or that nothing here decodes. */
enum dcm_codec dcm_codec_of(const char *syntax);

/* How many threads decode the blocks of one frame of JPEG 2000, from now on in this process; the
 * values do not depend on it. */
void dcm_codec_threads(int n);

typedef struct dcm_coded {
    uint32_t rows, cols, samples;
    unsigned bits;  /* precision of the samples */
    bool is_signed; /* as the codestream says */
    bool rgb;       /* colour was converted to RGB, or is RGB by the codestream's own word */
    unsigned bytes; /* of a sample in the output: 1, 2 or 4 */
} dcm_coded;

/* What the codestream says, without decoding it: so much that a frame of another size than the
 * image's is refused before memory is spent. */
int dcm_codec_peek(enum dcm_codec c, const uint8_t *p, size_t len, dcm_coded *is, ds_err *err);
/* A codestream of JPEG 2000 whose size was overwritten, which its one tile still gives: when that
 * is the image's, the header gets it back. true when it was changed. */
bool dcm_codec_mend(enum dcm_codec c, uint8_t *p, size_t len, uint32_t rows, uint32_t cols);
/* Decodes into out (replaced): interleaved, little endian, values in the low `bits` bits, those of
 * signed J2K sign extended. ybr: the image says that three components are YBR. */
int dcm_codec_decode(enum dcm_codec c, const char *syntax, const uint8_t *p, size_t len, bool ybr,
                     dcm_coded *is, ds_buf *out, ds_err *err);

#ifdef __cplusplus
}
#endif
#endif
