/* SPDX-License-Identifier: Apache-2.0 */
/* Made by `make runtime-offsets` (scripts/runtime_offsets.py) from the debug information of programs that these
 * versions built: not to be edited. Bytes from the start of runtime.g; curg: of runtime.m; gobuf_: of runtime.gobuf. A
 * row holds from its patch release on. */
/* minor, patch, stack_hi, m, goid, curg, gobuf_sp, gobuf_g */
ROW(13, 0, 8, 48, 152, 192, 0, 16) /* go1.13, go1.13.15 */
ROW(14, 0, 8, 48, 152, 192, 0, 16) /* go1.14, go1.14.15 */
ROW(15, 0, 8, 48, 152, 192, 0, 16) /* go1.15, go1.15.15 */
ROW(16, 0, 8, 48, 152, 192, 0, 16) /* go1.16, go1.16.15 */
ROW(17, 0, 8, 48, 152, 192, 0, 16) /* go1.17, go1.17.13 */
ROW(18, 0, 8, 48, 152, 192, 0, 16) /* go1.18, go1.18.10 */
ROW(19, 0, 8, 48, 152, 192, 0, 16) /* go1.19, go1.19.13 */
ROW(20, 0, 8, 48, 152, 192, 0, 16) /* go1.20, go1.20.14 */
ROW(21, 0, 8, 48, 152, 192, 0, 16) /* go1.21.0, go1.21.13 */
ROW(22, 0, 8, 48, 152, 192, 0, 16) /* go1.22.0, go1.22.12 */
ROW(23, 0, 8, 48, 160, 192, 0, 16) /* go1.23.0, go1.23.12 */
ROW(24, 0, 8, 48, 160, 192, 0, 16) /* go1.24.0, go1.24.13 */
ROW(25, 0, 8, 48, 152, 184, 0, 16) /* go1.25.0, go1.25.14 */
ROW(26, 0, 8, 48, 152, 184, 0, 16) /* go1.26.0, go1.26.11 */
ROW(27, 0, 8, 48, 152, 184, 0, 16) /* go1.27.0, go1.27.4 */
