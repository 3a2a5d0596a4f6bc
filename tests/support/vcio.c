// The mailbox of a Raspberry Pi's firmware: a file named vcio answers get_throttled with THROTTLED, and nothing else.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

int ioctl(int file, unsigned long request, ...)
{
    va_list rest;
    va_start(rest, request);
    uint32_t *message = va_arg(rest, uint32_t *);
    va_end(rest);
    char link[64], path[4096] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    if (readlink(link, path, sizeof path - 1) < 0 || strcmp(basename(path), "vcio") != 0)
        return ((int (*)(int, unsigned long, void *)) dlsym(RTLD_NEXT, "ioctl"))(file, request, message);
    if ((uint32_t) request != (uint32_t) _IOWR(100, 0, char *) || message[0] != 28 || message[1] != 0 ||
        message[2] != 0x00030046 || message[3] != 4 || message[6] != 0) {
        errno = EINVAL;
        return -1;
    }
    message[1] = 0x80000000;
    message[4] = 0x80000004;
    message[5] = (uint32_t) strtoul(getenv("THROTTLED"), NULL, 16);
    return 0;
}
