// SPDX-License-Identifier: Apache-2.0

// Tracee is a program to try a tracer on: it calls one function a few times, with a pause that lets a person watch.
package main

import (
	"flag"
	"fmt"
	"time"
)

//go:noinline
func ebpfDemo(a1 int, a2 bool, a3 float32) (r1 int64, r2 int32, r3 string) {
	fmt.Printf("ebpfDemo:: a1=%d, a2=%t a3=%.2f\n", a1, a2, a3)
	return 100, 200, "test for ebpf"
}

func main() {
	n := flag.Int("n", 10, "how often to call the function")
	pause := flag.Duration("pause", time.Second, "how long to wait between two calls")
	flag.Parse()
	for i := 0; i < *n; i++ {
		if i > 0 {
			time.Sleep(*pause)
		}
		r1, r2, r3 := ebpfDemo(100, true, 66.88)
		fmt.Printf("main:: r1=%d, r2=%d r3=%s\n", r1, r2, r3)
	}
}
