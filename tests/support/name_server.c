/* Answers names that end in .test with 127.0.0.1; never, while the file that NAME_SERVER_SILENT names is there. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    int (*ask)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
        dlsym(RTLD_NEXT, "getaddrinfo");
    size_t length = name ? strlen(name) : 0;
    if (length < 5 || strcmp(name + length - 5, ".test"))
        return ask(name, service, hints, found);
    while (access(getenv("NAME_SERVER_SILENT"), F_OK) == 0)
        usleep(50000);
    return ask("127.0.0.1", service, hints, found);
}
