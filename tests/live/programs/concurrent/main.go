// SPDX-License-Identifier: Apache-2.0

// Concurrent runs 101 goroutines at a time that call each other's functions, call themselves, panic, recover and leave by Goexit, and
// prints how often each function was called and how often it returned.
package main

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
)

const goroutines = 101

type count struct{ calls, returns int64 }

var guards, works, leaves count

//go:noinline
func leaf(id, n int) int {
	atomic.AddInt64(&leaves.calls, 1)
	if n%5 == 0 {
		runtime.Gosched()
	}
	return id + n
}

//go:noinline
func work(id, depth int) int {
	atomic.AddInt64(&works.calls, 1)
	sum := leaf(id, depth)
	atomic.AddInt64(&leaves.returns, 1)
	if depth > 0 {
		sum += work(id, depth-1)
		atomic.AddInt64(&works.returns, 1)
		return sum
	}
	switch {
	case id%3 == 0:
		panic(id)
	case id%7 == 0:
		runtime.Goexit()
	}
	return sum
}

// guard returns also where work panics.
//
//go:noinline
func guard(id int) (sum int) {
	atomic.AddInt64(&guards.calls, 1)
	defer func() {
		if e := recover(); e != nil {
			sum = -e.(int)
		}
	}()
	sum = work(id, id%11)
	atomic.AddInt64(&works.returns, 1)
	return sum
}

func main() {
	var all sync.WaitGroup
	start := make(chan bool)
	for id := 0; id < goroutines; id++ {
		all.Add(1)
		go func(id int) {
			defer all.Done()
			<-start
			guard(id)
			atomic.AddInt64(&guards.returns, 1)
			guard(id + 1)
			atomic.AddInt64(&guards.returns, 1)
		}(id)
	}
	close(start)
	all.Wait()
	fmt.Println("guard", guards.calls, guards.returns)
	fmt.Println("work", works.calls, works.returns)
	fmt.Println("leaf", leaves.calls, leaves.returns)
}
