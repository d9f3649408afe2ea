#include "train/machine.h"

#include <stdio.h>
#include <string.h>

static const motet_machine machines[] = {
    {.name = "h100",
     .what = "DGX H100 nodes: 8 H100 SXM, NVLink, 400 Gb/s InfiniBand a GPU",
     .flops = 989e12 * 0.40,
     .update_flops = 989e12 * 0.30,
     .memory_bytes_s = 3.0e12,
     .device_bytes = 80e9,
     .link_bytes_s = 450e9 * 0.8,
     .net_bytes_s = 50e9 * 0.8,
     .message_s = 2e-6,
     .source = "NVIDIA H100 datasheet: 989 TFLOP/s bf16 dense (40 % of it assumed, in Muon 30 %), "
               "NVLink 900 GB/s both ways, 80 GB; copies 3.0 TB/s measured; DGX H100 datasheet: a "
               "ConnectX-7 of 400 Gb/s a GPU; 80 % of links and 2 us a message assumed"},
    {.name = "cpu",
     .what = "ranks of one core each of an AMD EPYC with AVX-512 BF16, one host, shared memory",
     .flops = 180e9,
     .update_flops = 190e9,
     .memory_bytes_s = 12e9,
     .link_bytes_s = 2e9,
     .net_bytes_s = 1.25e9,
     .message_s = 40e-6,
     .host = 1,
     .source = "CPU time of a step of mini.ini on such a core, 2026-11-24; shared memory 2 GB/s, "
               "10 Gb/s Ethernet between hosts and 40 us a message assumed"},
};

motet_status motet_machine_find(const motet_machine **machine, const char *name) {
    enum { COUNT = sizeof machines / sizeof *machines };
    char names[200] = "";
    for (int i = 0; i < COUNT; i++) {
        *machine = &machines[i];
        if (!strcmp(name, machines[i].name)) return MOTET_OK;
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", machines[i].name);
    }
    return MOTET_FAIL(MOTET_E_USAGE, "--machine %.40s is none of %s", name, names);
}
