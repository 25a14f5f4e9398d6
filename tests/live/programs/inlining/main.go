// SPDX-License-Identifier: Apache-2.0

// Inlining calls functions that the compiler copies into their callers, one within another, and prints the stacks that it sees itself.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
)

var show bool

// here is what is traced. It prints its own callers, as Go's run-time system names them.
//
//go:noinline
func here(n int) int {
	if !show {
		return n + 1
	}
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs)])
	for {
		f, more := frames.Next()
		fmt.Printf("%s %s:%d\n", f.Function, filepath.Base(f.File), f.Line)
		if !more {
			break
		}
	}
	fmt.Println()
	return n + 1
}

func inner(n int) int { return here(n)*3 + 1 }

func middle(n int) int { return inner(n) + 1 }

//go:noinline
func outer(n int) int {
	if n == 0 {
		return middle(100) +
			inner(101)
	}
	return outer(n-1) + 1
}

//go:noinline
func other(n int) int { return inner(n) }

func main() {
	rounds := 1
	if len(os.Args) > 1 {
		rounds, _ = strconv.Atoi(os.Args[1])
	}
	for i := 0; i < rounds; i++ {
		show = i == 0
		outer(3)
		other(7)
	}
}
