/* prometheus: the newest numbers of a run as a page for a Prometheus server to scrape, at
 * http://HOST:PORT/metrics (text exposition format 0.0.4). Gauges:
 *
 *   motet_train_loss, motet_eval_loss, ...        numbers of the newest log line of a kind
 *   motet_train_field{name="tempo"}               those that stand in an object
 *   motet_train_attribute_accuracy{name="key"}    and deeper
 *   motet_train_step, motet_train_written_seconds of that line: its step, and when (Unix time)
 */
#ifndef MOTET_PROMETHEUS_H
#define MOTET_PROMETHEUS_H

#include <jansson.h>

#include "kernels/core/status.h"

typedef struct motet_prometheus motet_prometheus;

/* address: "9400" or "HOST:9400", HOST an IPv4 address; without it the page is there for this
 * machine only. MOTET_E_USAGE: it is spelt otherwise, or the port is taken. */
motet_status motet_prometheus_open(motet_prometheus **server, const char *address);
void motet_prometheus_close(motet_prometheus *server); /* NULL is fine */

/* Takes over the numbers of a log line. */
motet_status motet_prometheus_write(motet_prometheus *server, const json_t *line);

#endif
