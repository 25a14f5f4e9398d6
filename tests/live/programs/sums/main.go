// SPDX-License-Identifier: Apache-2.0

// Sums knows how often each of its functions is called, from where and for how long, and prints it at the end. Builds with Go 1.15 and
// later.
package main

import (
	"fmt"
	"time"
)

var sink int

//go:noinline
func leaf(n int) int {
	return n*n + sink
}

//go:noinline
func left(n int) int {
	return leaf(n) + 1
}

//go:noinline
func right(n int) int {
	return leaf(n) + 2
}

//go:noinline
func deep(n int) int {
	if n == 0 {
		return leaf(n)
	}
	return deep(n-1) + 3
}

// Nap returns how long it was inside, by its own clock.
//
//go:noinline
func nap(d time.Duration) time.Duration {
	start := time.Now()
	time.Sleep(d)
	return time.Since(start)
}

//go:noinline
func never() {
	sink++
}

func main() {
	for i := 0; i < 73; i++ {
		sink += left(i)
	}
	for i := 0; i < 37; i++ {
		sink += right(i)
	}
	for i := 0; i < 5; i++ {
		sink += deep(11)
	}
	var inside, outside, longest time.Duration
	for i := 1; i <= 53; i++ {
		start := time.Now()
		in := nap(time.Duration(i) * 200 * time.Microsecond)
		out := time.Since(start)
		inside += in
		outside += out
		if in > longest {
			longest = in
		}
	}
	if sink == -1 {
		never()
	}
	fmt.Println("inside", inside.Nanoseconds(), "outside", outside.Nanoseconds(), "longest", longest.Nanoseconds())
}
