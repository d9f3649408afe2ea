/* move: what move.c's table takes from move_convert.c. */
#ifndef SOFTGPU_MOVE_H
#define SOFTGPU_MOVE_H

#include "tests/softgpu/handler.h"

sg_bind sg_bind_convert;

#endif
