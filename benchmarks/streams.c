// Load of streams, for delays. usage: streams PORT CONNECTIONS SECONDS SPREAD_MS CONTENTS < a whole HTTP request
// CONNECTIONS begin evenly over SPREAD_MS; each sends the request anew when its stream has ended, until SECONDS are over
// (0: one stream each). A stream must have CONTENTS events with content and a [DONE], else it is an error.
// A delay is from when the stub sent an event (its stamp) to when the bytes were read here. `first` is from the request to
// the first content; where the stub stamped it, without the time that the stub itself let pass.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES_MAX 4096
#define GIVE_UP_US 60000000LL

enum part { HEAD, SIZE, DATA, AFTER_DATA, LAST };
struct stream {
  int fd, contents, is_done;
  enum part part;
  size_t left; // of the chunk, or of the line break after it
  char line[LINE_BYTES_MAX];
  size_t line_len;
  long long asked_us;
};
struct samples { int *us; size_t count, room; };

static char request[1 << 20];
static size_t request_len;
static int port, contents_wanted, epoll;
static int is_open, is_open_most, streams, errors, refused;
static struct samples delays, firsts;

static long long now_us(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1000000LL + t.tv_nsec / 1000; }

static void note(struct samples *to, long long us) {
  if (to->count == to->room) { to->room = to->room ? to->room * 2 : 65536; to->us = realloc(to->us, to->room * sizeof *to->us); }
  to->us[to->count++] = (int)us;
}

static int ascending(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

static int percentile(struct samples *of, double share) { // of sorted ones
  return of->count ? of->us[(size_t)((of->count - 1) * share)] : 0;
}

static void begin(struct stream *s) {
  s->contents = s->is_done = 0; s->part = HEAD; s->line_len = s->left = 0;
  if (++is_open > is_open_most) is_open_most = is_open;
  s->asked_us = now_us();
  if (send(s->fd, request, request_len, MSG_NOSIGNAL) != (ssize_t)request_len) errors++;
}

static void connect_and_begin(struct stream *s) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int one = 1;
  s->fd = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(s->fd, (void *)&to, sizeof to)) { perror("connect"); exit(1); }
  setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  fcntl(s->fd, F_SETFL, O_NONBLOCK);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = s};
  epoll_ctl(epoll, EPOLL_CTL_ADD, s->fd, &event);
  begin(s);
}

static void end(struct stream *s, int is_whole, long long stop_us) {
  is_open--; streams++;
  if (!is_whole || !s->is_done || s->contents != contents_wanted) errors++;
  if (is_whole && now_us() < stop_us) begin(s);
  else { close(s->fd); s->fd = -1; }
}

static void read_line(struct stream *s, long long read_us) { // one line of the stream of events
  s->line[s->line_len] = 0; s->line_len = 0;
  if (!strcmp(s->line, "data: [DONE]")) { s->is_done = 1; return; }
  char *content = strstr(s->line, "\"content\":\"");
  if (!content || content[11] == '"') return;
  long long asked_us, sent_us, upstreams_us = 0;
  if (sscanf(content + 11, " %16lld %16lld", &asked_us, &sent_us) == 2) {
    upstreams_us = sent_us - asked_us;
    note(&delays, read_us - sent_us);
  }
  if (!s->contents++) note(&firsts, read_us - s->asked_us - upstreams_us);
}

static int take(struct stream *s, const char *bytes, size_t count, long long read_us) { // 1: ended, 0: more to come, -1: broken
  for (size_t i = 0; i < count; i++) {
    char byte = bytes[i];
    if (s->part == DATA) {
      if (byte == '\n') read_line(s, read_us);
      else if (s->line_len == LINE_BYTES_MAX - 1) return -1;
      else s->line[s->line_len++] = byte;
      if (!--s->left) { s->part = AFTER_DATA; s->left = 2; }
    } else if (s->part == AFTER_DATA) {
      if (!--s->left) s->part = SIZE; // and `left` is 0 for its digits
    } else if (s->part == LAST) {
      if (byte == '\n') return 1;
    } else if (s->part == SIZE) {
      if (byte == '\n') s->part = s->left ? DATA : LAST;
      else if (byte != '\r') s->left = s->left * 16 + (byte <= '9' ? byte - '0' : (byte | 32) - 'a' + 10);
    } else if (byte != '\n') {
      if (s->line_len == LINE_BYTES_MAX - 1) return -1;
      s->line[s->line_len++] = byte;
    } else {
      s->line[s->line_len] = 0; s->line_len = 0;
      if (!strncmp(s->line, "HTTP/1.1 ", 9) && strncmp(s->line + 9, "200", 3)) { refused++; return -1; }
      if (!strcmp(s->line, "\r")) s->part = SIZE;
    }
  }
  return 0;
}

static void readable(struct stream *s, long long stop_us) {
  static char bytes[1 << 17];
  ssize_t count = recv(s->fd, bytes, sizeof bytes, 0);
  if (count < 0 && errno == EAGAIN) return;
  int state = count <= 0 ? -1 : take(s, bytes, count, now_us());
  if (state) end(s, state == 1, stop_us);
}

int main(int argc, char **argv) {
  if (argc != 6) return 2;
  port = atoi(argv[1]); contents_wanted = atoi(argv[5]);
  int connections = atoi(argv[2]), begun = 0;
  long long seconds = atoll(argv[3]), spread_us = atoll(argv[4]) * 1000;
  request_len = fread(request, 1, sizeof request, stdin);
  epoll = epoll_create1(0);
  struct stream *all = calloc(connections, sizeof *all);
  struct epoll_event events[256];
  long long began_us = now_us(), stop_us = seconds ? began_us + seconds * 1000000 : 0;
  while (begun < connections || is_open) {
    long long t = now_us();
    if (t - began_us > GIVE_UP_US) { errors += is_open; break; }
    while (begun < connections && t >= began_us + spread_us * begun / connections) connect_and_begin(&all[begun++]);
    int count = epoll_wait(epoll, events, 256, begun < connections ? 1 : 1000);
    for (int i = 0; i < count; i++) readable(events[i].data.ptr, stop_us);
  }
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  double cpu_us = (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6 + used.ru_utime.tv_usec + used.ru_stime.tv_usec;
  qsort(delays.us, delays.count, sizeof(int), ascending);
  qsort(firsts.us, firsts.count, sizeof(int), ascending);
  printf("RESULT reqs=%d open=%d events=%zu delay50=%d delay99=%d delaymax=%d first50=%d first99=%d errs=%d non2xx=%d cpu=%d\n",
    streams, is_open_most, delays.count, percentile(&delays, 0.5), percentile(&delays, 0.99), percentile(&delays, 1),
    percentile(&firsts, 0.5), percentile(&firsts, 0.99), errors - refused, refused,
    (int)(cpu_us * 100 / (now_us() - began_us)));
}
