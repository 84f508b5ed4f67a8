/* Answers its version. */
#include <arpa/inet.h>
#include <err.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define VERSION "1.0"

static const char *page_at(const char *request) {
    if (strncmp(request, "GET / ", 6) == 0) return "Hello from version " VERSION;
    if (strncmp(request, "GET /health ", 12) == 0) return "fine";
    return NULL;
}

static void answer(int connection) {
    char request[2048], response[256];
    ssize_t length = read(connection, request, sizeof request - 1);
    if (length <= 0) return;
    request[length] = '\0';
    const char *page = page_at(request);
    int size = snprintf(response, sizeof response, "HTTP/1.0 %s\r\nContent-Type: text/plain\r\n\r\n%s\n",
                        page ? "200 OK" : "404 Not Found", page ? page : "not here");
    if (write(connection, response, size) != size) warn("write");
}

static int listen_on(int port) {
    int listener = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 64))
        err(1, "port %d", port);
    return listener;
}

int main(void) {
    const char *port = getenv("PORT");
    if (port == NULL) errx(2, "PORT is not set");
    sigset_t term, none;
    sigemptyset(&none);
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, NULL);
    signal(SIGPIPE, SIG_IGN);
    struct pollfd waiting = {.fd = listen_on(atoi(port)), .events = POLLIN};
    struct timeval patience = {.tv_sec = 5};
    for (;;) {
        ppoll(&waiting, 1, NULL, &none); /* only here SIGTERM ends it: never within an answer */
        int connection = accept(waiting.fd, NULL, NULL);
        if (connection < 0) continue;
        setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        answer(connection);
        close(connection);
    }
}
