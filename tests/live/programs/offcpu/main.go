// SPDX-License-Identifier: Apache-2.0

// Offcpu spends time in five ways, and prints for each function the ns that it was in it by the clock, and where it can know them those on a
// CPU (the thread's own clock) and those that it had asked to wait. Builds with Go 1.15 and later.
package main

import (
	"fmt"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

const rounds = 7

var sink int

// CPU time of this thread in ns, by CLOCK_THREAD_CPUTIME_ID (linux/time.h).
func cpu() int64 {
	var ts syscall.Timespec
	syscall.Syscall(syscall.SYS_CLOCK_GETTIME, 3, uintptr(unsafe.Pointer(&ts)), 0)
	return ts.Nano()
}

//go:noinline
func turn(n int) int {
	for i := 0; i < n; i++ {
		sink += i ^ n
	}
	return sink
}

// Burns so much of its thread's CPU time.
//
//go:noinline
func spins(ns int64) int64 {
	start := cpu()
	for cpu()-start < ns {
		turn(1000)
	}
	return cpu() - start
}

//go:noinline
func sleeps(d time.Duration) int {
	time.Sleep(d)
	return sink
}

//go:noinline
func waits(c chan int) int {
	return <-c
}

// Its thread waits in the kernel.
//
//go:noinline
func reads(fd int) int {
	var b [1]byte
	n, _ := syscall.Read(fd, b[:])
	return n
}

// Two of these share one P: one of them is runnable while the other runs.
//
//go:noinline
func crowds(until time.Time) int {
	for time.Now().Before(until) {
		turn(1000)
	}
	return sink
}

func main() {
	var burnt, wall, slept int64
	done := make(chan bool)
	go func() {
		runtime.LockOSThread()
		for i := 0; i < rounds; i++ {
			start := time.Now()
			burnt += spins(5e6)
			wall += time.Since(start).Nanoseconds()
		}
		done <- true
	}()
	<-done
	fmt.Println("spins", wall, burnt, 0)

	wall = 0
	for i := 0; i < rounds; i++ {
		start := time.Now()
		sleeps(3 * time.Millisecond)
		wall += time.Since(start).Nanoseconds()
		slept += 3e6
	}
	fmt.Println("sleeps", wall, -1, slept)

	wall, slept = 0, 0
	c := make(chan int)
	for i := 0; i < rounds; i++ {
		go func() {
			time.Sleep(3 * time.Millisecond)
			c <- 1
		}()
		start := time.Now()
		waits(c)
		wall += time.Since(start).Nanoseconds()
		slept += 3e6
	}
	fmt.Println("waits", wall, -1, slept)

	wall, slept = 0, 0
	var pipe [2]int
	if err := syscall.Pipe(pipe[:]); err != nil {
		panic(err)
	}
	for i := 0; i < rounds; i++ {
		go func() {
			time.Sleep(3 * time.Millisecond)
			syscall.Write(pipe[1], []byte{1})
		}()
		start := time.Now()
		reads(pipe[0])
		wall += time.Since(start).Nanoseconds()
		slept += 3e6
	}
	fmt.Println("reads", wall, -1, slept)

	before := runtime.GOMAXPROCS(1)
	var all sync.WaitGroup
	var lock sync.Mutex
	wall = 0
	until := time.Now().Add(150 * time.Millisecond)
	for i := 0; i < 2; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			start := time.Now()
			crowds(until)
			lock.Lock()
			wall += time.Since(start).Nanoseconds()
			lock.Unlock()
		}()
	}
	all.Wait()
	runtime.GOMAXPROCS(before)
	fmt.Println("crowds", wall, -1, 0)
}
