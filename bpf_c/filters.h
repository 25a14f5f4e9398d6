/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Stands in where there is no condition. Else the tracer puts what it made of --where in this place: where_enter() and where_leave(). */
