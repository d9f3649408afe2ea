/* safetensors_seal: how a file carries its own SHA-256. The header's metadata has the 64 digits;
 * the hash is that of the file with zeros in their place. For the reader and the writer.
 */
#ifndef MOTET_DATA_SAFETENSORS_SEAL_H
#define MOTET_DATA_SAFETENSORS_SEAL_H

#include "data/sha256.h"

/* What stands before the digits. Inside a JSON text quotes are escaped, so it is found nowhere
 * else. */
#define MOTET_SEAL_TEXT "\"motet.sha256\":\""
#define MOTET_SEAL_ZEROS "0000000000000000000000000000000000000000000000000000000000000000"

#endif
