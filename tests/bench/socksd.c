/* A SOCKS5 server that costs little: one user with a password, CONNECT and UDP ASSOCIATE, IPv4 only.
 *
 * There is no quicker one to be had that every forwarder can talk to: microsocks does not understand a client that
 * sends greeting and login at once (v2ray), Dante drops the datagrams of one that names the target when it asks for
 * an association (v2ray again), and hashes the password each time. A thread a connection. */
#include "common.h"
#include <poll.h>
#include <pthread.h>

enum { BACKLOG = 4096, CHUNK = 65536, BATCH = 64, DATAGRAM = 65536, HEADER = 10, BUFFER = 8 << 20 };
enum { CONNECT = 1, UDP_ASSOCIATE = 3, IPV4 = 1, NO_ACCEPTABLE_METHOD = 0xFF, PASSWORD = 2 };
enum { SUCCEEDED = 0, REFUSED = 5, COMMAND_UNKNOWN = 7, ADDRESS_UNKNOWN = 8 };

static char login[512]; /* as it goes over the wire */
static size_t login_length;

static int read_exactly(int fd, void *data, size_t length)
{
    return recv(fd, data, length, MSG_WAITALL) == (ssize_t)length;
}

static int write_all(int fd, const void *data, size_t length)
{
    return send(fd, data, length, MSG_NOSIGNAL) == (ssize_t)length;
}

static int negotiate(int client)
{
    unsigned char greeting[2], methods[255], given[sizeof login];
    if (!read_exactly(client, greeting, 2) || !read_exactly(client, methods, greeting[1]))
        return 0;
    int known = memchr(methods, PASSWORD, greeting[1]) != NULL;
    if (!write_all(client, (char[]){5, known ? PASSWORD : NO_ACCEPTABLE_METHOD}, 2) || !known)
        return 0;
    int right = read_exactly(client, given, login_length) && !memcmp(given, login, login_length);
    return write_all(client, (char[]){1, !right}, 2) && right;
}

static void reply(int client, int code, struct sockaddr_in bound)
{
    char message[HEADER] = {5, code, 0, IPV4};
    memcpy(message + 4, &bound.sin_addr, 4);
    memcpy(message + 8, &bound.sin_port, 2);
    write_all(client, message, sizeof message);
}

/* Passes on what `from` has; 0 when that direction is over. */
static int pass(int from, int to)
{
    char data[CHUNK];
    ssize_t length = recv(from, data, sizeof data, 0);
    if (length > 0)
        return write_all(to, data, length);
    shutdown(to, SHUT_WR);
    return 0;
}

static void relay(int client, int target)
{
    struct pollfd ends[2] = {{.fd = client, .events = POLLIN}, {.fd = target, .events = POLLIN}};
    while (ends[0].fd >= 0 || ends[1].fd >= 0) {
        if (poll(ends, 2, -1) < 0)
            return;
        for (int i = 0; i < 2; i++)
            if (ends[i].fd >= 0 && ends[i].revents && !pass(i ? target : client, i ? client : target))
                ends[i].fd = -1;
    }
}

static void serve_connect(int client, struct sockaddr_in address)
{
    int target = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(target, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    int failed = connect(target, (struct sockaddr *)&address, sizeof address) < 0;
    reply(client, failed ? REFUSED : SUCCEEDED, (struct sockaddr_in){0});
    if (!failed)
        relay(client, target);
    close(target);
}

static int same(const struct sockaddr_in *left, const struct sockaddr_in *right)
{
    return left->sin_port == right->sin_port && left->sin_addr.s_addr == right->sin_addr.s_addr;
}

/* One association: what comes from the first sender goes where its header says, all else goes to that sender. */
struct association {
    int fd;
    struct sockaddr_in client;
    struct sockaddr_in peers[BATCH];
    struct iovec parts[BATCH];
    struct mmsghdr messages[BATCH];
    char datagrams[BATCH][HEADER + DATAGRAM]; /* room for a header in front of each */
};

static void turn_round(struct association *a, int i)
{
    char *data = (char *)a->parts[i].iov_base;
    size_t length = a->messages[i].msg_len;
    if (!a->client.sin_port)
        a->client = a->peers[i];
    if (!same(&a->peers[i], &a->client)) {
        char *header = data - HEADER;
        memcpy(header, (char[]){0, 0, 0, IPV4}, 4);
        memcpy(header + 4, &a->peers[i].sin_addr, 4);
        memcpy(header + 8, &a->peers[i].sin_port, 2);
        a->parts[i] = (struct iovec){header, length + HEADER};
        a->peers[i] = a->client;
    } else if (length >= HEADER && data[3] == IPV4) {
        memcpy(&a->peers[i].sin_addr, data + 4, 4);
        memcpy(&a->peers[i].sin_port, data + 8, 2);
        a->parts[i] = (struct iovec){data + HEADER, length - HEADER};
    }
}

static void pass_datagrams(struct association *a)
{
    for (int i = 0; i < BATCH; i++) {
        a->parts[i] = (struct iovec){a->datagrams[i] + HEADER, DATAGRAM};
        a->messages[i].msg_hdr = (struct msghdr){.msg_name = &a->peers[i], .msg_namelen = sizeof a->peers[i],
                                                 .msg_iov = &a->parts[i], .msg_iovlen = 1};
    }
    int received = recvmmsg(a->fd, a->messages, BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < received; i++)
        turn_round(a, i);
    for (int sent = 0, step; sent < received; sent += step > 0 ? step : 1)
        step = sendmmsg(a->fd, a->messages + sent, received - sent, 0);
}

static void serve_associate(int client)
{
    struct association *a = calloc(1, sizeof *a);
    struct sockaddr_in bound;
    socklen_t length = sizeof bound;
    int buffer = BUFFER;
    getsockname(client, (struct sockaddr *)&bound, &length);
    bound.sin_port = 0;
    a->fd = socket(AF_INET, SOCK_DGRAM, 0);
    setsockopt(a->fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);
    check(bind(a->fd, (struct sockaddr *)&bound, sizeof bound) < 0, "bind");
    getsockname(a->fd, (struct sockaddr *)&bound, &length);
    reply(client, SUCCEEDED, bound);
    struct pollfd ends[2] = {{.fd = client, .events = POLLIN}, {.fd = a->fd, .events = POLLIN}};
    while (poll(ends, 2, -1) > 0 && !ends[0].revents)
        pass_datagrams(a);
    close(a->fd);
    free(a);
}

static void serve_request(int client)
{
    unsigned char request[HEADER];
    struct sockaddr_in address = {.sin_family = AF_INET};
    if (!read_exactly(client, request, sizeof request))
        return;
    memcpy(&address.sin_addr, request + 4, 4);
    memcpy(&address.sin_port, request + 8, 2);
    if (request[1] == CONNECT && request[3] == IPV4)
        serve_connect(client, address);
    else if (request[1] == UDP_ASSOCIATE)
        serve_associate(client);
    else
        reply(client, request[3] == IPV4 ? COMMAND_UNKNOWN : ADDRESS_UNKNOWN, address);
}

static void *serve(void *argument)
{
    int client = (int)(long)argument, one = 1;
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (negotiate(client))
        serve_request(client);
    close(client);
    return NULL;
}

int main(int count, char **arguments)
{
    const char *usage = "PORT HOST USER PASSWORD";
    struct sockaddr_in address = loopback(number(count, arguments, 1, 65535, usage));
    if (count != 5 || !inet_pton(AF_INET, arguments[2], &address.sin_addr)) {
        fprintf(stderr, "usage: %s %s\n", arguments[0], usage);
        return 2;
    }
    login_length = snprintf(login, sizeof login, "\1%c%s%c%s", (int)strlen(arguments[3]), arguments[3],
                            (int)strlen(arguments[4]), arguments[4]);
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    check(bind(listener, (struct sockaddr *)&address, sizeof address) < 0, "bind");
    check(listen(listener, BACKLOG) < 0, "listen");
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&detached, 256 * 1024);
    for (int client; (client = accept(listener, NULL, NULL)) >= 0;) {
        pthread_t thread;
        if (pthread_create(&thread, &detached, serve, (void *)(long)client))
            close(client);
    }
}
