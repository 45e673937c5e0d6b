/* Sends back what it is sent, on loopback, for clients that read before they have sent 64 KiB more. */
#include "common.h"
#include <poll.h>

enum { CHUNK = 65536, EVENTS = 256, BACKLOG = 4096 };

static int listen_on(long port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    struct sockaddr_in address = loopback(port);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    check(bind(fd, (struct sockaddr *)&address, sizeof address) < 0, "bind");
    check(listen(fd, BACKLOG) < 0, "listen");
    return fd;
}

static void accept_all(int listener, int epoll)
{
    for (int fd, one = 1; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        watch(epoll, fd, EPOLLIN, fd);
    }
}

/* Returns 0 when the connection is broken. */
static int write_all(int fd, const char *data, ssize_t length)
{
    while (length > 0) {
        ssize_t written = write(fd, data, length);
        if (written < 0 && errno == EAGAIN)
            poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
        else if (written <= 0)
            return 0;
        else
            data += written, length -= written;
    }
    return 1;
}

static void echo(int fd)
{
    static char data[CHUNK];
    ssize_t length = read(fd, data, sizeof data);
    if (length < 0 && errno == EAGAIN)
        return;
    if (length <= 0 || !write_all(fd, data, length))
        close(fd);
}

int main(int count, char **arguments)
{
    int listener = listen_on(number(count, arguments, 1, 65535, "PORT"));
    int epoll = epoll_create1(0);
    watch(epoll, listener, EPOLLIN, listener);
    for (struct epoll_event events[EVENTS];;) {
        int ready = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.u64;
            if (fd == listener)
                accept_all(listener, epoll);
            else
                echo(fd);
        }
    }
}
