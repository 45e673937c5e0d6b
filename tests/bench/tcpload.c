/* Connects, sends a message, reads its echo, closes; CONCURRENT at a time until TOTAL were made.
 *
 * Prints what came of it as JSON: connections that had their whole echo, connections that failed, the seconds it
 * took, and how long a connection lived from connect() to the last octet (median, 99th percentile, worst). */
#include "common.h"

enum { EVENTS = 256, LARGEST = 65536, PATIENCE_MS = 10000 };

struct connection {
    int fd;
    int sent;
    long received;
    double began;
};

static struct sockaddr_in target;
static struct connection *connections;
static double *lifetimes;
static char message[LARGEST];
static long message_length, started, succeeded, failed;
static int epoll;

static void start(int slot)
{
    struct connection *c = &connections[slot];
    int one = 1;
    *c = (struct connection){.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), .began = now()};
    check(c->fd < 0, "socket");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    check(connect(c->fd, (struct sockaddr *)&target, sizeof target) < 0 && errno != EINPROGRESS, "connect");
    watch(epoll, c->fd, EPOLLIN | EPOLLOUT | EPOLLET, slot);
    started++;
}

static void finish(int slot, int good, long total)
{
    close(connections[slot].fd);
    if (good)
        lifetimes[succeeded++] = now() - connections[slot].began;
    else
        failed++;
    if (started < total)
        start(slot);
}

/* 1: the whole echo is here; 0: not yet; -1: the connection failed. */
static int progress(struct connection *c)
{
    static char echoed[LARGEST];
    if (!c->sent) {
        ssize_t written = write(c->fd, message, message_length);
        if (written < 0 && (errno == EAGAIN || errno == ENOTCONN))
            return 0;
        if (written != message_length)
            return -1;
        c->sent = 1;
    }
    while (c->received < message_length) {
        ssize_t length = read(c->fd, echoed, sizeof echoed);
        if (length < 0 && errno == EAGAIN)
            return 0;
        if (length <= 0 || memcmp(echoed, message + c->received, length))
            return -1;
        c->received += length;
    }
    return 1;
}

static int ascending(const void *left, const void *right)
{
    double l = *(const double *)left, r = *(const double *)right;
    return (l > r) - (l < r);
}

static double percentile_ms(double share)
{
    return succeeded ? lifetimes[(long)((succeeded - 1) * share)] * 1e3 : 0;
}

int main(int count, char **arguments)
{
    const char *usage = "PORT CONCURRENT TOTAL BYTES";
    target = loopback(number(count, arguments, 1, 65535, usage));
    long concurrent = number(count, arguments, 2, 10000, usage);
    long total = number(count, arguments, 3, 10000000, usage);
    message_length = number(count, arguments, 4, LARGEST, usage);
    connections = calloc(concurrent, sizeof *connections);
    lifetimes = calloc(total, sizeof *lifetimes);
    check(!connections || !lifetimes, "calloc");
    for (long i = 0; i < message_length; i++)
        message[i] = 'a' + i % 26;
    epoll = epoll_create1(0);

    double began = now();
    for (int slot = 0; slot < concurrent && started < total; slot++)
        start(slot);
    while (succeeded + failed < total) {
        struct epoll_event events[EVENTS];
        int ready = epoll_wait(epoll, events, EVENTS, PATIENCE_MS);
        if (ready == 0)
            break;
        for (int i = 0; i < ready; i++) {
            int slot = events[i].data.u64, state = progress(&connections[slot]);
            if (state)
                finish(slot, state > 0, total);
        }
    }
    double seconds = now() - began;
    qsort(lifetimes, succeeded, sizeof *lifetimes, ascending);
    printf("{\"succeeded\": %ld, \"failed\": %ld, \"seconds\": %.4f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, "
           "\"max_ms\": %.3f}\n",
           succeeded, total - succeeded, seconds, percentile_ms(.5), percentile_ms(.99), percentile_ms(1));
    return succeeded != total;
}
