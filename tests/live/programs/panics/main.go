// SPDX-License-Identifier: Apache-2.0

// Calls that do not return: panics, recovered and not, Goexit, os.Exit, one inside the other. What happened stands in the log:
//
//	call GOROUTINE FUNCTION ARGUMENT          the next thing that this goroutine does is this call
//	back GOROUTINE FUNCTION ARGUMENT RESULT   it has returned
//	over GOROUTINE FUNCTION HOW               it will not come back, and neither will what it has called
//	gone GOROUTINE HOW                        this goroutine has ended
//	dies HOW                                  so does the process
//
// -end says how the process is to end.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"
)

var turning = flag.Bool("turns", true, "call turns, which the race detector does not allow, and which is not for many goroutines at once")

func goroutine() string {
	var text [64]byte
	return strings.Fields(string(text[:runtime.Stack(text[:], false)]))[1]
}

func call(name string, n int) { fmt.Println("call", goroutine(), name, n) }

func back(name string, n, r int) { fmt.Println("back", goroutine(), name, n, r) }

func over(name, how string) { fmt.Println("over", goroutine(), name, how) }

func dies(how string) { fmt.Println("dies", how) }

// In a goroutine of its own, which is over when this comes back: wholly, not only as far as its own deferred calls can tell. No other
// may run then. how: as it must end.
func apart(how string, do func()) {
	done := make(chan string)
	go func() {
		returned := false
		me := goroutine()
		defer func() {
			if !returned {
				fmt.Println("gone", me, how)
			}
			close(done)
		}()
		do()
		returned = true
	}()
	<-done
	for runtime.NumGoroutine() > 1 {
		runtime.Gosched()
	}
}

// Run f under a name.
func try(name string, f func(int) int, n int) {
	call(name, n)
	back(name, n, f(n))
}

// ---- panics of every origin

type pair struct{ a, b int }

//go:noinline
func throws(n int) int {
	if n < 0 {
		return -n
	}
	panic(n)
}

//go:noinline
func passes(n int) int {
	call("throws", n)
	r := throws(n)
	back("throws", n, r)
	return r + 1
}

//go:noinline
func onlyPanics(n int) {
	panic(n)
}

//go:noinline
func derefs(p *pair) int { return p.b }

//go:noinline
func indexes(n int) int {
	var xs [7]int
	return xs[n]
}

//go:noinline
func divides(n int) int { return 101 / n }

//go:noinline
func asserts(n int) int {
	var x interface{} = n
	return len(x.(string))
}

//go:noinline
func stores(n int) int {
	var m map[int]int
	m[n] = n
	return n
}

// All of it is the loop, its first instruction too: only by what it has done can a turn be told from a call.
//
//go:nosplit
//go:noinline
func turns(p *int32) {
	for atomic.AddInt32(p, 1) != 0 {
	}
}

// Memory that is taken away when turns has been at it for a while.
func vanishing() *int32 {
	page, err := syscall.Mmap(-1, 0, os.Getpagesize(), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		panic(err)
	}
	p := (*int32)(unsafe.Pointer(&page[0]))
	go func() {
		for atomic.LoadInt32(p) < 5 {
			runtime.Gosched()
		}
		if err := syscall.Munmap(page); err != nil {
			panic(err)
		}
	}()
	return p
}

//go:noinline
func guards(n int) (r int) {
	defer func() {
		if recover() != nil {
			r = n + 1000
		}
	}()
	switch n {
	case 0:
		call("derefs", 0)
		back("derefs", 0, derefs(nil))
	case 1:
		call("indexes", 11)
		back("indexes", 11, indexes(n+10))
	case 2:
		call("divides", 0)
		back("divides", 0, divides(n-2))
	case 3:
		try("asserts", asserts, n)
	case 4:
		try("stores", stores, n)
	case 5:
		call("onlyPanics", n)
		onlyPanics(n)
	case 6:
		defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
		p := vanishing()
		call("turns", 0)
		turns(p)
	case 60:
		p := int32(-7)
		call("turns", -7)
		turns(&p)
		back("turns", -7, 0)
	default:
		try("passes", passes, n)
	}
	return n
}

// ---- recovering

//go:noinline
func recovers(n int) (r int, text string) {
	defer func() {
		if e := recover(); e != nil {
			r, text = e.(int)*10, "recovered"
		}
	}()
	try("passes", passes, n)
	return n, "not"
}

// It has two ways to go on after the deferred call, and more deferred calls than fit the compiler's own scheme for few.
//
//go:noinline
func recoversLate(n int) (r int) {
	for i := 0; i < 13; i++ {
		i := i
		defer func() {
			if i == 6 && recover() != nil {
				r += 100
			}
			r++
		}()
	}
	try("passes", passes, n)
	return r + 1
}

//go:noinline
func deferred(n int) (r int) {
	call("cleans", n)
	r = cleans(n)
	back("cleans", n, r)
	return r
}

//go:noinline
func cleans(n int) int { return n * 3 }

// A deferred call that recovers and panics again.
//
//go:noinline
func panicsAgain(n int) int {
	defer func() {
		e := recover()
		call("deferred", n)
		back("deferred", n, deferred(n))
		panic(e.(int) + 1)
	}()
	try("throws", throws, n)
	return n
}

//go:noinline
func againCaught(n int) (r int) {
	defer func() { r = recover().(int) }()
	try("panicsAgain", panicsAgain, n)
	return r
}

// A deferred call that panics while a panic is on its way, and takes its place.
//
//go:noinline
func replaces(n int) int {
	defer try("throws", throws, n+1)
	try("throws", throws, n)
	return n
}

//go:noinline
func replaced(n int) (r int) {
	defer func() { r = recover().(int) }()
	try("replaces", replaces, n)
	return r
}

// A panic that begins and is recovered inside a deferred call, while another is on its way.
//
//go:noinline
func nests(n int) (r int) {
	defer func() { r += recover().(int) }()
	defer func() {
		call("recovers", n+1)
		a, _ := recovers(n + 1)
		back("recovers", n+1, a)
		r = a
	}()
	try("passes", passes, n)
	return r
}

// Three levels, each recovering and panicking again.
//
//go:noinline
func climbs(n int) (r int) {
	defer func() {
		e := recover()
		if n < 3 {
			panic(e)
		}
		r = e.(int) + n
	}()
	if n == 0 {
		try("throws", throws, n)
	}
	try("climbs", climbs, n-1)
	return -1
}

// Recovered, and then called again at the same depth: no call is taken for another.
//
//go:noinline
func repeats(n int) (r int) {
	for i := 0; i < n; i++ {
		if *turning {
			try("guards", guards, 6)
			try("guards", guards, 60)
		}
		try("guards", guards, 70+i)
	}
	return n
}

// ---- across the growth of the stack

//go:noinline
func deep(n int) int {
	var room [1024]byte
	room[n%1024] = 1
	if n == 0 {
		call("throws", n)
		return throws(n)
	}
	call("deep", n-1)
	r := deep(n - 1)
	back("deep", n-1, r)
	return r + int(room[n%1024])
}

//go:noinline
func uses(n int) int {
	var room [2048]byte
	room[n%2048] = 1
	if n > 0 {
		return uses(n-1) + int(room[n%2048])
	}
	return 0
}

//go:noinline
func grows(n int) (r int) {
	defer func() { r = recover().(int) + 7 }()
	defer func() {
		call("uses", 0)
		back("uses", 0, uses(0))
		_ = far(5 * n)
	}()
	try("deep", deep, n)
	return 0
}

// Like uses, but not traced: the stack moves while a panic is on its way.
//
//go:noinline
func far(n int) int {
	var room [2048]byte
	room[n%2048] = 1
	if n > 0 {
		return far(n-1) + int(room[n%2048])
	}
	return 0
}

// ---- Goexit

//go:noinline
func quits(n int) int {
	if n > 0 {
		runtime.Goexit()
	}
	return n
}

//go:noinline
func quitsBelow(n int) int {
	defer func() {
		call("cleans", n)
		back("cleans", n, cleans(n))
	}()
	try("quits", quits, n)
	return n
}

// Goexit in a deferred call, of a function that returns.
//
//go:noinline
func quitsAtEnd(n int) int {
	defer func() { try("quits", quits, n) }()
	return n
}

// Goexit in a deferred call, while a panic is on its way.
//
//go:noinline
func quitsInPanic(n int) int {
	defer func() { try("quits", quits, n) }()
	try("passes", passes, n)
	return n
}

// A panic inside a deferred call that Goexit runs, and recovered there.
//
//go:noinline
func panicsInQuit(n int) int {
	defer func() {
		call("recovers", n)
		a, _ := recovers(n)
		back("recovers", n, a)
	}()
	try("quits", quits, n)
	return n
}

// A panic inside a deferred call that Goexit runs, recovered by a function further out: Goexit goes on all the same.
//
//go:noinline
func panicsPastQuit(n int) int {
	defer func() {
		call("cleans", n)
		back("cleans", n, cleans(n))
	}()
	defer func() {
		if recover() != nil {
			over("throws", "panic")
		}
	}()
	try("throwsInQuit", throwsInQuit, n)
	return n
}

//go:noinline
func throwsInQuit(n int) int {
	defer try("throws", throws, n)
	try("quits", quits, n)
	return n
}

// ---- ends of the process

//go:noinline
func forever(started *int32) {
	atomic.StoreInt32(started, 1)
	for {
		runtime.Gosched()
	}
}

//go:noinline
func exits(n int) int {
	if n > 0 {
		dies("exit")
		os.Exit(0)
	}
	return n
}

//go:noinline
func exitsInPanic(n int) int {
	defer func() { try("exits", exits, n) }()
	try("passes", passes, n)
	return n
}

type told struct{ n int }

func (t told) Error() string { return "told " + strconv.Itoa(speaks(t.n)) }

// Called while the process dies, to print the panic.
//
//go:noinline
func speaks(n int) int {
	call("speaks", n)
	back("speaks", n, n+1)
	return n + 1
}

//go:noinline
func fails(n int) int {
	defer func() {
		call("cleans", n)
		back("cleans", n, cleans(n))
		dies("panic " + goroutine())
	}()
	if n > 0 {
		panic(told{n})
	}
	return n
}

//go:noinline
func waits(n int, inside *int32, done chan bool) int {
	atomic.StoreInt32(inside, 1)
	<-done
	return n
}

func until(flag *int32) {
	for atomic.LoadInt32(flag) == 0 {
		runtime.Gosched()
	}
}

func end(how string) {
	never := make(chan bool)
	var inside int32
	another := func() {
		go func() {
			call("waits", 23)
			waits(23, &inside, never)
		}()
		until(&inside)
	}
	switch how {
	case "exit":
		another()
		try("exits", exits, 1)
	case "return":
		another()
		dies("exit")
	case "forever":
		go func() {
			call("forever", 0)
			forever(&inside)
		}()
		until(&inside)
		dies("exit")
	case "exit-in-panic":
		another()
		try("exitsInPanic", exitsInPanic, 1)
	case "panic":
		another()
		try("fails", fails, 5)
	case "panic-elsewhere":
		go func() {
			until(&inside)
			try("fails", fails, 7)
		}()
		call("waits", 29)
		waits(29, &inside, never)
	case "deadlock":
		dies("exit")
		call("waits", 31)
		waits(31, &inside, never)
	case "goexit":
		go func() {
			for runtime.NumGoroutine() > 1 {
				runtime.Gosched()
			}
			dies("exit")
			os.Exit(0)
		}()
		fmt.Println("gone", goroutine(), "goexit")
		try("quitsBelow", quitsBelow, 3)
	}
}

func main() {
	how := flag.String("end", "return", "how the process ends")
	many := flag.Int("many", 0, "goroutines that panic at the same time")
	flag.Parse()
	if *many > 0 {
		var all sync.WaitGroup
		for i := 0; i < *many; i++ {
			all.Add(1)
			go func(i int) {
				defer all.Done()
				try("repeats", repeats, 13)
				try("nests", nests, i)
			}(i)
		}
		all.Wait()
		end(*how)
		return
	}
	for n := 0; n < 9; n++ {
		if n != 6 || *turning {
			try("guards", guards, n)
		}
	}
	for _, n := range []int{3, -4, 5} {
		call("recovers", n)
		r, _ := recovers(n)
		back("recovers", n, r)
		try("recoversLate", recoversLate, n)
	}
	try("againCaught", againCaught, 17)
	try("replaced", replaced, 19)
	try("nests", nests, 23)
	try("climbs", climbs, 3)
	try("repeats", repeats, 7)
	apart("", func() { try("grows", grows, 100) })
	for _, f := range []struct {
		name string
		do   func(int) int
	}{
		{"quits", quits},
		{"quitsBelow", quitsBelow},
		{"quitsAtEnd", quitsAtEnd},
		{"quitsInPanic", quitsInPanic},
		{"panicsInQuit", panicsInQuit},
		{"panicsPastQuit", panicsPastQuit},
	} {
		apart("goexit", func() { try(f.name, f.do, 3) })
		apart("", func() { try("guards", guards, 0) })
	}
	end(*how)
}
