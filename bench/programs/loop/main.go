// SPDX-License-Identifier: Apache-2.0

// Loop calls one function in a tight loop and prints the nanoseconds of a call: "ns_per_call 1.8". It says "ready" and waits for a line first.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"time"
)

var sink int

//go:noinline
func leaf(a int) int {
	return a + 1
}

// They call something, so that the compiler puts a stack check and `push %rbp` at their start, as nearly all real functions have.
//
//go:noinline
func ints(a int, b int) int {
	return leaf(a) + b
}

//go:noinline
func text(a int, b int, s string) int {
	return leaf(a) + b + len(s)
}

func main() {
	n := flag.Int("n", 1000003, "calls")
	name := flag.String("func", "ints", "ints or text")
	flag.Parse()
	fmt.Println("ready")
	bufio.NewReader(os.Stdin).ReadString('\n')
	s := "sixteen bytes ok"[:16]
	start := time.Now()
	if *name == "text" {
		for i := 0; i < *n; i++ {
			sink += text(i, 2, s)
		}
	} else {
		for i := 0; i < *n; i++ {
			sink += ints(i, 2)
		}
	}
	fmt.Printf("ns_per_call %.2f\n", float64(time.Since(start).Nanoseconds())/float64(*n))
}
