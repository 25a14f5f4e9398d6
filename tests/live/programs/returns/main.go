// SPDX-License-Identifier: Apache-2.0

// Returns calls functions that end in different ways: with a float result that stands in the frame until the end, with a panic that their
// caller recovers from, and as usual, each time from the same place of the stack. It says "ready", waits for a line on stdin, does all that
// -n times, and prints what came of it.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
)

//go:noinline
func deferred(n int) (half float64) {
	defer func() { half += float64(n) }()
	half = float64(n) / 2
	return
}

//go:noinline
func risky(n int) (r int) {
	if n == 50 {
		panic("fifty")
	}
	return n + 1
}

//go:noinline
func call(n int) (r int) {
	defer func() {
		if recover() != nil {
			r = -1
		}
	}()
	return risky(n)
}

func main() {
	n := flag.Int("n", 100, "rounds")
	flag.Parse()
	fmt.Println("ready")
	bufio.NewReader(os.Stdin).ReadString('\n')
	var halves float64
	sums := [3]int{}
	for i := 0; i < *n; i++ {
		halves += deferred(i)
		sums[0] += call(50)
		sums[1] += call(1)
		sums[2] += call(20)
	}
	fmt.Println(halves, sums)
}
