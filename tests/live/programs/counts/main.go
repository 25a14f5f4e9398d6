// SPDX-License-Identifier: Apache-2.0

// Counts calls one function a number of times in different ways, and counts the calls itself. It says "ready", waits for a line on stdin,
// works, and prints "calls N". Builds with Go 1.15 and later.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"time"
)

var (
	calls int64
	sink  int
)

// The frame is large enough that a fresh goroutine's stack grows several times on the way down.
//
//go:noinline
func target(n int, depth int) int {
	var frame [40]int
	frame[n%40] = n
	atomic.AddInt64(&calls, 1)
	if depth > 1 {
		frame[(n+1)%40] = target(n+1, depth-1)
	}
	return frame[n%40] + frame[(n+1)%40]
}

// Down fills n calls into fresh goroutines of at most depth calls each, many at a time.
func down(n, depth, width int) {
	var wg sync.WaitGroup
	room := make(chan bool, width)
	for done := 0; done < n; {
		d := depth
		if n-done < d {
			d = n - done
		}
		wg.Add(1)
		room <- true
		go func(from, d int) {
			defer wg.Done()
			target(from, d)
			<-room
		}(done, d)
		done += d
	}
	wg.Wait()
}

//go:noinline
func stuck(pause time.Duration) {
	time.Sleep(pause)
}

func main() {
	n := flag.Int("n", 1000, "calls")
	mode := flag.String("mode", "tight", "tight, grow, goroutines, paced or stuck")
	pause := flag.Duration("pause", 10*time.Millisecond, "between two calls of paced")
	wait := flag.Bool("wait", true, "wait for a line on stdin before the first call")
	flag.Parse()

	// A Ctrl-C at a terminal reaches the whole group: what is traced decides for itself.
	signal.Ignore(os.Interrupt)
	if *wait {
		fmt.Println("ready")
		bufio.NewReader(os.Stdin).ReadString('\n')
	}
	start := time.Now()
	switch *mode {
	case "tight":
		for i := 0; i < *n; i++ {
			sink += target(i, 1)
		}
	case "grow":
		down(*n, 997, 4)
	case "goroutines":
		down(*n, 1, 1000)
	case "paced":
		for i := 0; i < *n; i++ {
			sink += target(i, 1)
			time.Sleep(*pause)
		}
	case "stuck":
		fmt.Println("stuck")
		stuck(time.Hour)
	}
	fmt.Printf("ns %d\n", time.Since(start).Nanoseconds())
	fmt.Printf("calls %d\n", atomic.LoadInt64(&calls))
}
