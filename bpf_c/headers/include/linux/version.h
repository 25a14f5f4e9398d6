/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* BCC offers newer helpers by this number; the kernel itself decides at load time which it has. */
#ifndef GS_LINUX_VERSION_H
#define GS_LINUX_VERSION_H

#define KERNEL_VERSION(major, minor, patch) (((major) << 16) + ((minor) << 8) + ((patch) > 255 ? 255 : (patch)))
#ifndef LINUX_VERSION_CODE
#define LINUX_VERSION_CODE KERNEL_VERSION(6, 1, 0)
#endif

#endif
