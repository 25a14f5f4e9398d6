// SPDX-License-Identifier: Apache-2.0

// Loop calls one function in a tight loop and prints the nanoseconds of a call, by the clock and by the CPU time of its
// thread: "ns_per_call 1.80 1.79". It says "ready" and waits for a line first.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"
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

type order struct {
	ID, Price int64
	Paid      bool
	Weight    float64
	Count     uint32
}

//go:noinline
func values(o *order, xs []int) int {
	return leaf(int(o.ID)) + len(xs)
}

// CPU time of this thread in ns, by CLOCK_THREAD_CPUTIME_ID (linux/time.h).
func cpu() int64 {
	var ts syscall.Timespec
	syscall.Syscall(syscall.SYS_CLOCK_GETTIME, 3, uintptr(unsafe.Pointer(&ts)), 0)
	return ts.Nano()
}

func main() {
	n := flag.Int("n", 1000003, "calls")
	name := flag.String("func", "ints", "ints, text or values")
	flag.Parse()
	fmt.Println("ready")
	bufio.NewReader(os.Stdin).ReadString('\n')
	s := "sixteen bytes ok"[:16]
	o, xs := &order{7, 1999, true, 1.5, 3}, []int{1, 2, 3, 4, 5, 6, 7, 8}
	runtime.LockOSThread()
	start, startCPU := time.Now(), cpu()
	if *name == "values" {
		for i := 0; i < *n; i++ {
			sink += values(o, xs)
		}
	} else if *name == "text" {
		for i := 0; i < *n; i++ {
			sink += text(i, 2, s)
		}
	} else {
		for i := 0; i < *n; i++ {
			sink += ints(i, 2)
		}
	}
	wall, used := time.Since(start).Nanoseconds(), cpu()-startCPU
	fmt.Printf("ns_per_call %.2f %.2f\n", float64(wall)/float64(*n), float64(used)/float64(*n))
}
