#include "train/prometheus.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "train/run_scalars.h"

enum { KINDS = 8, GAUGES = 256 };

typedef struct gauge {
    char name[96], label[64]; /* label: "" or its value */
    double value;
    int order; /* of its line */
} gauge;

typedef struct gauges {
    char kind[32];
    gauge all[GAUGES];
    int count;
} gauges;

struct motet_prometheus {
    struct MHD_Daemon *daemon;
    pthread_mutex_t lock; /* of page: the server has a thread of its own */
    char *page;
    size_t length;
    gauges kinds[KINDS]; /* newest line of each */
};

static enum MHD_Result reply(struct MHD_Connection *connection, unsigned int code, const char *type,
                             const char *text, size_t length) {
    struct MHD_Response *response =
        MHD_create_response_from_buffer(length, (void *)text, MHD_RESPMEM_MUST_COPY);
    if (!response) return MHD_NO;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    enum MHD_Result result = MHD_queue_response(connection, code, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result answer(void *user, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **state) {
    (void)version, (void)upload, (void)upload_size, (void)state;
    static const char other[] = "the numbers are at /metrics\n";
    motet_prometheus *server = user;
    if (strcmp(method, "GET")) return MHD_NO;
    if (strcmp(url, "/metrics"))
        return reply(connection, MHD_HTTP_NOT_FOUND, "text/plain", other, sizeof other - 1);
    pthread_mutex_lock(&server->lock);
    enum MHD_Result result =
        reply(connection, MHD_HTTP_OK, "text/plain; version=0.0.4", server->page, server->length);
    pthread_mutex_unlock(&server->lock);
    return result;
}

static motet_status read_address(struct sockaddr_in *at, const char *address) {
    char host[64] = "127.0.0.1", end;
    unsigned int port = 0;
    const char *colon = strrchr(address, ':');
    if (colon) snprintf(host, sizeof host, "%.*s", (int)(colon - address), address);
    *at = (struct sockaddr_in){.sin_family = AF_INET};
    if (sscanf(colon ? colon + 1 : address, "%u%c", &port, &end) != 1 || port < 1 || port > 65535 ||
        inet_pton(AF_INET, host, &at->sin_addr) != 1)
        return MOTET_FAIL(MOTET_E_USAGE,
                          "run.metrics: \"%.80s\" is neither a port nor IPV4-ADDRESS:PORT",
                          address);
    at->sin_port = htons((uint16_t)port);
    return MOTET_OK;
}

motet_status motet_prometheus_open(motet_prometheus **server, const char *address) {
    struct sockaddr_in at;
    *server = NULL;
    MOTET_TRY(read_address(&at, address));
    motet_prometheus *s = calloc(1, sizeof *s);
    if (!s || !(s->page = strdup(""))) {
        free(s);
        return MOTET_FAIL(MOTET_E_MEMORY, "no memory for the page of numbers");
    }
    pthread_mutex_init(&s->lock, NULL);
    s->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, answer, s,
                                 MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&at,
                                 MHD_OPTION_CONNECTION_TIMEOUT, 10u, MHD_OPTION_END);
    if (!s->daemon) {
        motet_prometheus_close(s);
        return MOTET_FAIL(MOTET_E_USAGE,
                          "run.metrics: no server can be started at %.80s; the port may be taken",
                          address);
    }
    *server = s;
    return MOTET_OK;
}

void motet_prometheus_close(motet_prometheus *server) {
    if (!server) return;
    if (server->daemon) MHD_stop_daemon(server->daemon);
    pthread_mutex_destroy(&server->lock);
    free(server->page);
    free(server);
}

static void take(void *user, const char *const *names, int depth, double value) {
    gauges *g = user;
    if (g->count == GAUGES) return;
    gauge *one = &g->all[g->count];
    /* The name of the second object is the label: what follows it tells gauges apart. */
    snprintf(one->name, sizeof one->name, "motet_%s_%s%s%s", names[0], names[1],
             depth > 3 ? "_" : "", depth > 3 ? names[3] : "");
    snprintf(one->label, sizeof one->label, "%s", depth > 2 ? names[2] : "");
    one->value = value;
    one->order = g->count++;
}

static int by_name(const void *a, const void *b) {
    const gauge *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order ? order : x->order - y->order;
}

static void print_gauges(FILE *page, const gauges *g) {
    const char *name = "";
    for (int i = 0; i < g->count; i++) {
        const gauge *one = &g->all[i];
        if (strcmp(one->name, name)) fprintf(page, "# TYPE %s gauge\n", one->name);
        name = one->name;
        if (*one->label)
            fprintf(page, "%s{name=\"%s\"} %.9g\n", name, one->label, one->value);
        else
            fprintf(page, "%s %.9g\n", name, one->value);
    }
}

motet_status motet_prometheus_write(motet_prometheus *server, const json_t *line) {
    const char *kind = json_string_value(json_object_get(line, "kind"));
    int k = 0;
    while (k < KINDS && *server->kinds[k].kind && kind && strcmp(server->kinds[k].kind, kind))
        k++;
    if (!kind || k == KINDS) return MOTET_OK;
    gauges *g = &server->kinds[k];
    snprintf(g->kind, sizeof g->kind, "%s", kind);
    g->count = 0;
    motet_run_scalars(line, take, g);
    take(g, (const char *[]){kind, "step"}, 2,
         (double)json_integer_value(json_object_get(line, "step")));
    take(g, (const char *[]){kind, "written_seconds"}, 2, (double)time(NULL));
    qsort(g->all, (size_t)g->count, sizeof *g->all, by_name);
    char *text = NULL;
    size_t length = 0;
    FILE *page = open_memstream(&text, &length);
    if (!page) return MOTET_FAIL(MOTET_E_MEMORY, "no memory for the page of numbers");
    for (k = 0; k < KINDS; k++)
        print_gauges(page, &server->kinds[k]);
    if (fclose(page) != 0) {
        free(text);
        return MOTET_FAIL(MOTET_E_MEMORY, "no memory for the page of numbers");
    }
    pthread_mutex_lock(&server->lock);
    char *old = server->page;
    server->page = text;
    server->length = length;
    pthread_mutex_unlock(&server->lock);
    free(old);
    return MOTET_OK;
}
