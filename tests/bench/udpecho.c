/* Sends each datagram back to where it came from, on loopback, a batch a system call. */
#include "common.h"

enum { BATCH = 64, LARGEST = 65536, BUFFER = 8 << 20 };

static char payloads[BATCH][LARGEST];
static struct sockaddr_storage sources[BATCH];
static struct iovec parts[BATCH];
static struct mmsghdr messages[BATCH];

static void prepare(int i)
{
    parts[i] = (struct iovec){payloads[i], LARGEST};
    messages[i].msg_hdr = (struct msghdr){
        .msg_name = &sources[i], .msg_namelen = sizeof sources[i], .msg_iov = &parts[i], .msg_iovlen = 1};
}

int main(int count, char **arguments)
{
    struct sockaddr_in address = loopback(number(count, arguments, 1, 65535, "PORT"));
    int fd = socket(AF_INET, SOCK_DGRAM, 0), buffer = BUFFER;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);
    check(bind(fd, (struct sockaddr *)&address, sizeof address) < 0, "bind");
    for (;;) {
        for (int i = 0; i < BATCH; i++)
            prepare(i);
        int received = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);
        for (int i = 0; i < received; i++)
            parts[i].iov_len = messages[i].msg_len;
        if (received > 0)
            sendmmsg(fd, messages, received, 0);
    }
}
