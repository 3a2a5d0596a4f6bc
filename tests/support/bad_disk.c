/* Preloaded: files whose path holds OUTBOX_NAME take no writes while the file BAD_DISK holds an errno,
   and every sync of them adds a byte to the file SYNCS. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OUTBOX_NAME "outbox.db"

static int ours(int file)
{
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return strstr(path, OUTBOX_NAME) != NULL;
}

static int fault(int file)
{
    char text[16] = "";
    const char *name = getenv("BAD_DISK");
    if (!name || !ours(file))
        return 0;
    int said = syscall(SYS_openat, AT_FDCWD, name, O_RDONLY);
    if (said < 0)
        return 0;
    syscall(SYS_read, said, text, sizeof text - 1);
    syscall(SYS_close, said);
    return atoi(text);
}

static void count_sync(int file)
{
    const char *name = getenv("SYNCS");
    if (!name || !ours(file))
        return;
    int counter = syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_APPEND | O_CREAT, 0600);
    syscall(SYS_write, counter, "s", 1);
    syscall(SYS_close, counter);
}

#define REFUSE(file)           \
    {                          \
        int number = fault(file); \
        if (number) {          \
            errno = number;    \
            return -1;         \
        }                      \
    }

ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t at)
{
    REFUSE(file)
    return syscall(SYS_pwrite64, file, bytes, count, at);
}

ssize_t pwrite(int file, const void *bytes, size_t count, off_t at) { return pwrite64(file, bytes, count, at); }

ssize_t write(int file, const void *bytes, size_t count)
{
    REFUSE(file)
    return syscall(SYS_write, file, bytes, count);
}

int fdatasync(int file)
{
    count_sync(file);
    REFUSE(file)
    return syscall(SYS_fdatasync, file);
}

int fsync(int file)
{
    count_sync(file);
    REFUSE(file)
    return syscall(SYS_fsync, file);
}
