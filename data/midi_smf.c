#include "data/midi_smf.h"

#include <glib.h>
#include <pthread.h>

static void drop_line(const gchar *domain, GLogLevelFlags level, const gchar *line, gpointer user) {
    (void)domain, (void)level, (void)line, (void)user;
}

static void set_handler(void) {
    g_log_set_handler("libsmf", G_LOG_LEVEL_MASK | G_LOG_FLAG_RECURSION, drop_line, NULL);
}

void motet_smf_silence(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_handler);
}

/* smf_delete takes quadratic time on attached events: detach and free them first. */
void motet_smf_delete(smf_t *smf) {
    for (int i = 1; i <= smf->number_of_tracks; i++) {
        smf_track_t *track = smf_get_track_by_number(smf, i);
        for (int k = 1; k <= track->number_of_events; k++) {
            smf_event_t *event = smf_track_get_event_by_number(track, k);
            event->track = NULL;
            smf_event_delete(event);
        }
        g_ptr_array_set_size(track->events_array, 0);
        track->number_of_events = 0;
    }
    smf_delete(smf);
}
