// SPDX-License-Identifier: Apache-2.0

// A generic function, which takes a dictionary, and a closure in it, which does not.
package main

//go:noinline
func generic[K comparable](m int, k K, n int) (int, func(int, int) int) {
	return n + m, func(a, b int) int {
		var zero K
		if k == zero {
			return a
		}
		return b
	}
}

func main() {
	_, f := generic(1, "key", 3)
	f(100, 200)
}
