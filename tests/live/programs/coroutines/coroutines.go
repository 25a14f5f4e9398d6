// SPDX-License-Identifier: Apache-2.0
package main

import (
	"bytes"
	"iter"
	"runtime"
	"strconv"
)

//go:noinline
func hit(id int) int { return id + 1 }

func goid() int {
	var b [64]byte
	n := runtime.Stack(b[:], false)
	f := bytes.Fields(b[:n])[1]
	i, _ := strconv.Atoi(string(f))
	return i
}

// five gives five numbers, each from a call on the coroutine's goroutine.
func five(yield func(int) bool) {
	id := goid()
	for i := 0; i < 5; i++ {
		if !yield(hit(id)) {
			return
		}
	}
}

func main() {
	x := 0
	for r := 0; r < 1009*5; r++ {
		next, stop := iter.Pull(five)
		for v, ok := next(); ok; v, ok = next() {
			x += v
		}
		stop()
	}
	if x == 0 {
		panic("no call was made")
	}
}
