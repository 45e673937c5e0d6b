/* What the four programs share: errors that end them, the clock, addresses, numbers from the command line. */
#ifndef COMMON_H
#define COMMON_H

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void check(int failed, const char *what)
{
    if (failed) {
        perror(what);
        exit(1);
    }
}

/* Seconds on a clock that never jumps. */
static inline double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec * 1e-9;
}

static inline struct sockaddr_in loopback(long port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

/* Argument `index` as a number between 1 and `most`. */
static inline long number(int count, char **arguments, int index, long most, const char *usage)
{
    char *end = "";
    long value = index < count ? strtol(arguments[index], &end, 10) : 0;
    if (*end || value < 1 || value > most) {
        fprintf(stderr, "usage: %s %s\n", arguments[0], usage);
        exit(2);
    }
    return value;
}

static inline void watch(int epoll, int fd, unsigned events, unsigned long long data)
{
    struct epoll_event event = {.events = events, .data.u64 = data};
    check(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0, "epoll_ctl");
}

#endif
