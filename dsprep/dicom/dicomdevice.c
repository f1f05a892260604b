/* dicomdevice.c - see dicomdevice.h. */
#include "dicomdevice.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io.h"
#include "plugin.h"

/* Memory of the device that stays for the next frame. */
typedef struct room {
    void *p;
    size_t bytes;
} room;

/* Of this process. */
static struct {
    ds_kernels *k;
    room image, table, made;
} dev;

int ds_dicom_device_check(const char *device, ds_err *err)
{
    ds_err said = {0};
    int pair[2];

    if (pipe(pair) != 0)
        return ds_fail_errno(err, errno, "a pipe");
    const pid_t pid = fork();
    if (pid == 0) {
        ds_kernels *k;
        ds_kernels_open(&k, device, 1, &said);
        _exit(write(pair[1], &said, sizeof said) == (ssize_t)sizeof said ? 0 : 1);
    }
    const int why = errno;
    close(pair[1]);
    const ssize_t n = pid > 0 ? read(pair[0], &said, sizeof said) : 0;
    close(pair[0]);
    if (pid < 0)
        return ds_fail_errno(err, why, "a process");
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    if (n != (ssize_t)sizeof said)
        return ds_fail(err, DS_FAIL, "device '%s': opening it ended the process that did", device);
    return said.code ? ds_fail_as(err, &said) : 0;
}

static int make_room(room *r, size_t bytes, ds_err *err)
{
    if (r->bytes >= bytes)
        return 0;
    dev.k->free(dev.k, r->p);
    *r = (room){NULL, 0};
    const int rc = dev.k->alloc(dev.k, &r->p, bytes, err);
    r->bytes = rc ? 0 : bytes;
    return rc;
}

/* Host memory to the device. */
static int put(room *r, const void *host, size_t bytes, ds_err *err)
{
    const int rc = make_room(r, bytes, err);

    return rc ? rc : dev.k->upload(dev.k, r->p, host, bytes, err);
}

int ds_dicom_device_frame(const char *device, dcm_chain *c, const dcm_image *im, uint32_t frame,
                          uint32_t side, const ds_buf *in, ds_buf *out, bool *made, ds_err *err)
{
    const dcm_shape s = dcm_chain_shape(c);
    dcm_table t;
    int rc = dcm_chain_table(c, frame, in, &t, err);

    *made = false;
    if (rc != 0 || !t.v)
        return rc;
    if (!dev.k)
        rc = ds_kernels_open(&dev.k, device, 1, err);
    ds_kimage p = {.from = (enum ds_pixel)im->dtype,
                   .to = (enum ds_pixel)s.dtype,
                   .rows = im->rows,
                   .cols = im->cols,
                   .samples = s.samples,
                   .to_rows = s.rows,
                   .to_cols = s.cols,
                   .low = t.low,
                   .gain = t.gain,
                   .bias = t.bias,
                   .side = side};
    const size_t bytes = ds_kimage_bytes(&p);
    if (rc == 0)
        rc = put(&dev.image, in->data, in->len, err);
    if (rc == 0)
        rc = put(&dev.table, t.v, t.n * sizeof *t.v, err);
    if (rc == 0)
        rc = make_room(&dev.made, bytes, err);
    p.table = dev.table.p;
    if (rc == 0)
        rc = dev.k->image(dev.k, dev.made.p, dev.image.p, &p, err);
    ds_buf_reset(out);
    if (rc == 0 && ds_buf_reserve(out, bytes) != 0)
        rc = ds_fail_nomem(err);
    if (rc == 0)
        rc = dev.k->download(dev.k, out->data, dev.made.p, bytes, err);
    out->len = rc == 0 ? bytes : 0;
    *made = rc == 0;
    return rc;
}
