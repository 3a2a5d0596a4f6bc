/* Preloaded: the time of day is off by the seconds in the file CLOCK_OFFSET, and adjtimex answers CLOCK_STATE,
 * with the errno of a sandbox. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int answer = syscall(SYS_clock_gettime, clock, now);
    const char *name = getenv("CLOCK_OFFSET");
    FILE *file = clock == CLOCK_REALTIME && name ? fopen(name, "r") : NULL;
    if (file) {
        long long seconds = 0;
        if (fscanf(file, "%lld", &seconds) == 1)
            now->tv_sec += seconds;
        fclose(file);
    }
    return answer;
}

int adjtimex(void *buffer)
{
    (void)buffer;
    errno = EPERM;
    return atoi(getenv("CLOCK_STATE"));
}
