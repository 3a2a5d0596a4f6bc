/* Preloaded: DMA memory for libcamera on a machine that has no /dev/dma_heap and no /dev/udmabuf, from memfds.
 *
 * Whoever opens one of these devices gets a handle from here; what is asked of that handle is a buffer, and a memfd is
 * one as far as mmap is concerned. Synchronising caches with a device that does not exist succeeds. Link with -ldl. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/udmabuf.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *const HEAPS = "/dev/dma_heap/";
static const char *const UDMABUF = "/dev/udmabuf";

static bool is_dma_device(const char *path)
{
    return strncmp(path, HEAPS, strlen(HEAPS)) == 0 || strcmp(path, UDMABUF) == 0;
}

static int open_real_or_handle(const char *function, const char *path, int flags, mode_t mode)
{
    if (is_dma_device(path))
        return memfd_create("dma-device", MFD_CLOEXEC);
    int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, function);
    return real(path, flags, mode);
}

static mode_t mode_of(int flags, va_list rest)
{
    return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(rest, mode_t) : 0;
}

int open(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = mode_of(flags, rest);
    va_end(rest);
    return open_real_or_handle("open", path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = mode_of(flags, rest);
    va_end(rest);
    return open_real_or_handle("open64", path, flags, mode);
}

static int allocate(struct dma_heap_allocation_data *wanted)
{
    int buffer = memfd_create("dma-buffer", MFD_CLOEXEC);
    if (buffer < 0)
        return -1;
    long page = sysconf(_SC_PAGESIZE);
    if (ftruncate(buffer, (wanted->len + page - 1) / page * page) < 0) {
        close(buffer);
        return -1;
    }
    wanted->fd = buffer;
    return 0;
}

int ioctl(int handle, unsigned long request, ...)
{
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    if (request == DMA_HEAP_IOCTL_ALLOC)
        return allocate(argument);
    if (request == UDMABUF_CREATE)
        return fcntl(((struct udmabuf_create *)argument)->memfd, F_DUPFD_CLOEXEC, 0);
    if (_IOC_TYPE(request) == DMA_BUF_BASE)
        return 0;
    int (*real)(int, unsigned long, ...) = dlsym(RTLD_NEXT, "ioctl");
    return real(handle, request, argument);
}
