// SPDX-License-Identifier: Apache-2.0

// Parameters without names, and some that are not used: old versions leave the former out of the debug information.
package main

type T struct{ a, b int }

//go:noinline
func one(_ int, b int, c string, d byte) int { return b + len(c) }

//go:noinline
func two(a byte, _ byte, b byte, s []int) (r int, _ bool) { return int(b) + len(s), true }

//go:noinline
func (T) three(x int, _ string, y string) string { return y }

//go:noinline
func four(int, string) (int, string) { return 5, "x" }

//go:noinline
func five(a int8, _ bool, b int8, _ [2]int, c int64, unused int32) int8 { return a + b + int8(c) }

func main() {
	one(1, 2, "abc", 4)
	two(1, 2, 3, []int{7, 8})
	T{11, 12}.three(7, "aa", "bbb")
	four(7, "aa")
	five(-3, true, 5, [2]int{1, 2}, 6, 17)
}
