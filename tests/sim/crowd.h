/* tests/sim/crowd.h: large worlds: many gateways around some supernodes.
 *
 *     struct crowd crowd;
 *     crowd_open(&crowd, &(struct crowd_settings){.supernodes = 20, .gateways = 10000, .seed = 1});
 *     crowd_start(&crowd, 10000);         all start within 10 s
 *     crowd_wait_attached(&crowd, 60000);
 *     world_count_anew(&crowd.world);     from here on it is steady
 *     world_run(&crowd.world, 60000);
 *     crowd_rate(&crowd)                  what a supernode heard and said
 *     crowd_close(&crowd);
 *
 * Private to tests/sim.
 */
#ifndef TESTS_SIM_CROWD_H
#define TESTS_SIM_CROWD_H

#include "tests/sim/world.h"

struct crowd_settings {
    int supernodes, gateways;
    uint64_t seed;
    unsigned seats;         /* of each supernode; 0: the core's default */
    unsigned accepts_per_s; /* of each supernode; 0: no limit */
};

struct crowd {
    struct world world;
    struct sim_node **supernodes, **gateways;
    int supernode_count, gateway_count;
};

/* Makes the nodes: supernodes "s0" … that know up to 8 of those before them, gateways "g0" … that
 * know three by chance; delays of 10 to 150 ms by distance. Nothing runs yet. */
void crowd_open(struct crowd *crowd, const struct crowd_settings *settings);
void crowd_close(struct crowd *crowd);
/* Supernodes start now and have 5 s to meet; then the gateways start, evenly within `ms`. */
void crowd_start(struct crowd *crowd, uint64_t ms);
/* Whether every running node came to be attached within `ms`; world->attached_count says how many
 * are. */
bool crowd_wait_attached(struct crowd *crowd, uint64_t ms);
/* Runs on for so long that whoever wants a standby has one. Returns how many gateways have one. */
int crowd_wait_standby(struct crowd *crowd, uint64_t ms);

/* Look-ups without calls: each by a gateway and of a gateway that both have a living home, chosen
 * by chance, so many per second from now on for `ms`. `asked` gets them: nobody may forget asks
 * meanwhile. */
struct crowd_asks {
    struct crowd *crowd;
    uint64_t pause_us, next_us, until_ms;
    /* NULL: anybody may ask for anybody */
    bool (*may_ask)(struct crowd *crowd, const struct sim_node *from, const struct sim_node *to);
};
void crowd_ask(struct crowd *crowd, struct crowd_asks *asks, unsigned per_s, uint64_t ms);
/* Of those that began since `from_ms` and before `to_ms`. */
struct crowd_asked {
    int asked, found, wrong, late; /* wrong: found nothing, or not the right one; late: after 1 s */
    double
        ideal; /* median of the time taken in those from asker to home to nearest holder and back */
    uint64_t took_ms[3]; /* of those found: median, 95th and 99th percentile */
};
struct crowd_asked crowd_asked(const struct crowd *crowd, uint64_t from_ms, uint64_t to_ms);

/* Of every thousand gateways so many, by chance, lose all their links at this moment, as when a
 * network fails and comes back. Returns how many there were. */
int crowd_cut(struct crowd *crowd, unsigned per_mille);
/* The doors of all supernodes since they count: sums, and the highest maxima. */
struct sim_door crowd_doors(const struct crowd *crowd);

/* Calls between gateways chosen by chance, begun evenly within `ms`, each ended by its caller
 * `talk_ms` later; runs until all are over, and forgets them. */
struct crowd_calls {
    int begun, answered, failed;
    uint64_t ringing_ms[3]; /* from call to ringing: median, 95th and 99th percentile */
};
struct crowd_calls crowd_call(struct crowd *crowd, int count, uint64_t ms, uint64_t talk_ms);

/* Per supernode and second, since they count. */
struct crowd_rate {
    double in_frames, out_frames, in_bytes, out_bytes; /* the mean of all */
    double most_frames, most_bytes;                    /* in and out, of the busiest one */
};
struct crowd_rate crowd_rate(const struct crowd *crowd);

#endif
