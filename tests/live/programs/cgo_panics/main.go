// SPDX-License-Identifier: Apache-2.0

// Panics that pass through C: the log is that of programs/panics.
package main

/*
#include <stdint.h>

extern int64_t goBack(int64_t n);

static int64_t callBack(int64_t n) { return goBack(n) + 1; }
*/
import "C"

import (
	"fmt"
	"runtime"
	"strings"
)

func goroutine() string {
	var text [64]byte
	return strings.Fields(string(text[:runtime.Stack(text[:], false)]))[1]
}

func try(name string, f func(int) int, n int) {
	fmt.Println("call", goroutine(), name, n)
	fmt.Println("back", goroutine(), name, n, f(n))
}

//go:noinline
func throws(n int) int {
	if n%3 == 0 {
		panic(n)
	}
	return n
}

//go:noinline
func inside(n int) (r int) {
	defer func() {
		if n%2 == 0 && recover() != nil {
			r = -n
		}
	}()
	try("throws", throws, n)
	return n
}

//export goBack
func goBack(n C.int64_t) C.int64_t {
	try("inside", inside, int(n))
	return n * 2
}

//go:noinline
func outside(n int) (r int) {
	defer func() {
		if recover() != nil {
			r = n * 100
		}
	}()
	return int(C.callBack(C.int64_t(n)))
}

func main() {
	for n := 1; n < 24; n++ {
		try("outside", outside, n)
	}
	done := make(chan bool)
	go func() {
		for n := 1; n < 24; n++ {
			try("outside", outside, n)
		}
		close(done)
	}()
	<-done
	fmt.Println("dies exit")
}
