// SPDX-License-Identifier: Apache-2.0

// Growth calls one function in a tight loop and prints what a call costs, "ns_per_call CLOCK CPU", CPU being the time of all calling
// threads. It says "ready" and waits for a line first. Its functions differ in one thing at a time: integers, strings, pointers to
// follow, recursion. net/http is there for its thousands of functions, none of which is called.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

var sink int

//go:noinline
func leaf(a int) int { return a + 1 }

//go:noinline
func none() int { return leaf(1) }

//go:noinline
func ints1(a int) int { return leaf(a) }

//go:noinline
func ints4(a, b, c, d int) int { return leaf(a) + b + c + d }

//go:noinline
func ints9(a, b, c, d, e, f, g, h, i int) int { return leaf(a) + b + c + d + e + f + g + h + i }

//go:noinline
func strs1(a string) int { return leaf(len(a)) }

//go:noinline
func strs2(a, b string) int { return leaf(len(a)) + len(b) }

//go:noinline
func strs4(a, b, c, d string) int { return leaf(len(a)) + len(b) + len(c) + len(d) }

type node struct {
	ID   int
	Next *node
}

//go:noinline
func follow(n *node) int { return leaf(n.ID) }

//go:noinline
func slice(xs []int) int { return leaf(len(xs)) }

// Two goroutines take turns: each call changes their states several times.
//
//go:noinline
func exchange(to, from chan int) int {
	to <- 1
	return <-from
}

//go:noinline
func dive(depth int) int {
	if depth <= 1 {
		return leaf(depth)
	}
	return dive(depth-1) + 1
}

// CPU time of this thread in ns, by CLOCK_THREAD_CPUTIME_ID (linux/time.h).
func cpu() int64 {
	var ts syscall.Timespec
	syscall.Syscall(syscall.SYS_CLOCK_GETTIME, 3, uintptr(unsafe.Pointer(&ts)), 0)
	return ts.Nano()
}

func work(name string, n, depth int) int {
	const s = "sixteen bytes ok"
	got := 0
	list := &node{1, &node{2, &node{3, &node{4, &node{5, nil}}}}}
	numbers := make([]int, depth)
	calls := map[string]func(int){
		"none":   func(i int) { got += none() },
		"ints1":  func(i int) { got += ints1(i) },
		"ints4":  func(i int) { got += ints4(i, 2, 3, 4) },
		"ints9":  func(i int) { got += ints9(i, 2, 3, 4, 5, 6, 7, 8, 9) },
		"strs1":  func(i int) { got += strs1(s) },
		"strs2":  func(i int) { got += strs2(s, s) },
		"strs4":  func(i int) { got += strs4(s, s, s, s) },
		"follow": func(i int) { got += follow(list) },
		"slice":  func(i int) { got += slice(numbers) },
	}
	if name == "dive" {
		for i := 0; i < n; i += depth {
			got += dive(depth)
		}
		return got
	}
	to, from := make(chan int), make(chan int)
	defer close(to)
	if name == "exchange" {
		calls[name] = func(int) { got += exchange(to, from) }
		go func() {
			for x := range to {
				from <- x
			}
		}()
	}
	call, known := calls[name]
	if !known {
		panic("no function " + name)
	}
	for i := 0; i < n; i++ {
		call(i)
	}
	return got
}

func main() {
	n := flag.Int("n", 100003, "calls of each thread")
	name := flag.String("func", "ints1", "which function")
	depth := flag.Int("depth", 1, "calls of dive within each other; elements of slice")
	threads := flag.Int("threads", 1, "how many call it at once")
	serve := flag.String("serve", "", "an address to serve files at")
	flag.Parse()
	if *serve != "" {
		http.ListenAndServe(*serve, http.FileServer(http.Dir(".")))
	}
	fmt.Println("ready")
	bufio.NewReader(os.Stdin).ReadString('\n')
	var wait sync.WaitGroup
	var lock sync.Mutex
	used := int64(0)
	start := time.Now()
	for t := 0; t < *threads; t++ {
		wait.Add(1)
		go func() {
			defer wait.Done()
			runtime.LockOSThread()
			begin := cpu()
			got := work(*name, *n, *depth)
			end := cpu()
			lock.Lock()
			sink += got
			used += end - begin
			lock.Unlock()
		}()
	}
	wait.Wait()
	calls := float64(*n * *threads)
	fmt.Printf("ns_per_call %.2f %.2f\n", float64(time.Since(start).Nanoseconds())/calls, float64(used)/calls)
}
