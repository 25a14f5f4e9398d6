// SPDX-License-Identifier: Apache-2.0

// Calls that end in every way that a call can end. One line for each of them, in the order in which they begin within a
// function: its name, its arguments, and its results, or how it ended without any.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
)

func say(name string, arg int, ending interface{}) {
	fmt.Printf("{\"func\":\"main.%s\",\"arg\":%d,\"ending\":%v}\n", name, arg, ending)
}

//go:noinline
func deferred(n int) (r int) {
	defer func() { r *= 2 }()
	r = n + 1
	return r
}

//go:noinline
func throws(n int) int {
	if n < 0 {
		return -n
	}
	panic(n)
}

//go:noinline
func passes(n int) int {
	return throws(n) + 1
}

//go:noinline
func recovers(n int) (r int) {
	defer func() {
		if e := recover(); e != nil {
			r = e.(int) * 10
		}
	}()
	r = passes(n)
	return r
}

//go:noinline
func nested(n int) (r int) {
	defer func() { r = recover().(int) + 100 }()
	defer func() { panic(n + 1) }()
	panic(n)
}

//go:noinline
func recurses(n int) int {
	if n == 0 {
		return 0
	}
	return recurses(n-1) + 1
}

//go:noinline
func uses(n int) int {
	var room [2048]byte
	room[n] = 1
	if n > 0 {
		return uses(n-1) + int(room[n])
	}
	return int(room[0])
}

//go:noinline
func grows(n int) int {
	return uses(n) + n
}

//go:noinline
func moves(n int) int {
	runtime.LockOSThread()
	for i := 0; i < n; i++ {
		runtime.Gosched()
	}
	runtime.UnlockOSThread()
	for i := 0; i < n; i++ {
		runtime.Gosched()
	}
	return n * 3
}

//go:noinline
func many(n int) int {
	switch n {
	case 0:
		return recurses(0) + 7
	case 1:
		return 11
	case 2:
		return uses(2)
	case 3:
		return n * n
	}
	if n > 50 {
		return -1
	}
	return n
}

//go:noinline
func fill(b []byte) {
	for i := range b {
		b[i] = byte(i)
	}
}

//go:noinline
func large(n int) int {
	var room [6001]byte
	fill(room[:])
	return n + int(room[n])
}

//go:noinline
func larger(n int) int {
	var room [100003]byte
	fill(room[:])
	return n + int(room[n])
}

//go:nosplit
//go:noinline
func leaf(n int) int {
	return n ^ 5
}

type inner struct{ n int }

//go:noinline
func (i *inner) tail(n int) int { return i.n + n }

type outer struct{ *inner }

var through interface{ tail(n int) int } = outer{&inner{1000}}

//go:noinline
func quits(n int) int {
	if n > 0 {
		runtime.Goexit()
	}
	return n
}

//go:noinline
func forever(n int, started *int32) {
	atomic.StoreInt32(started, 1)
	for {
		runtime.Gosched()
	}
}

//go:noinline
func last(n int) int {
	if n == 0 {
		os.Exit(0)
	}
	return n
}

func main() {
	for n := 0; n < 5; n++ {
		say("deferred", n, deferred(n))
	}
	for _, n := range []int{3, -4, 5} {
		r := recovers(n)
		say("recovers", n, r)
		if n < 0 {
			say("passes", n, -n+1)
			say("throws", n, -n)
		} else {
			say("passes", n, "null")
			say("throws", n, "null")
		}
	}
	say("nested", 7, nested(7))
	for i, r := 0, recurses(1000); i <= r; i++ {
		say("recurses", r-i, r-i)
	}
	for _, n := range []int{5, 1500, 20} {
		done := make(chan int)
		go func() { done <- grows(n) }()
		say("grows", n, <-done)
		go func() { done <- moves(n) }()
		say("moves", n, <-done)
	}
	for n := 1; n < 60; n++ {
		say("many", n, many(n))
	}
	say("large", 17, large(17))
	say("larger", 19, larger(19))
	say("leaf", 23, leaf(23))
	say("(*inner).tail", 29, through.tail(29))
	for n := 0; n < 3; n++ {
		done := make(chan bool)
		go func() {
			defer close(done)
			quits(n)
		}()
		<-done
		if n == 0 {
			say("quits", n, n)
		} else {
			say("quits", n, "null")
		}
	}
	var started int32
	go forever(31, &started)
	for atomic.LoadInt32(&started) == 0 {
		runtime.Gosched()
	}
	say("forever", 31, "null")
	say("last", 1, last(1))
	say("last", 0, "null")
	last(0)
}
