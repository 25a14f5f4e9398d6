// SPDX-License-Identifier: Apache-2.0

// A program that writes down what its functions believed, for tests that change it while it runs.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

type Color uint8

type Inner struct {
	A, B uint16
}

type Request struct {
	Method  string
	Retries int8
	Price   float64
	Inner   Inner
	Items   []int32
	Next    *Request
	Err     error
}

var (
	ErrFull  = errors.New("it is full")
	ErrUnset error
	sink     int
)

// ---- what is changed --------------------------------------------------------------------------------------------

//go:noinline
func target(n int, keep int) (r1 int) {
	seen.call(n, keep)
	return n + 1
}

//go:noinline
func other(n int, keep int) (r1 int) {
	seen.call(n, keep)
	return n + 1
}

//go:noinline
func kinds(b bool, i8 int8, u16 uint16, c Color, i64 int64, f float64, s string, p *Request, e error) {
	name := "nil"
	if p != nil {
		name = p.Method
	}
	fmt.Printf("b=%v i8=%d u16=%d c=%d i64=%d f=%v s=%q p=%s e=%v\n", b, i8, u16, c, i64, f, s, name, e)
}

//go:noinline
func text(s string) int {
	fmt.Printf("s=%q\n", s)
	return len(s)
}

//go:noinline
func handle(p *Request, xs []int32, in Inner) {
	fmt.Printf("method=%q retries=%d price=%v inner=%d,%d item=%d next=%d xs=%v in=%d,%d\n", p.Method, p.Retries,
		p.Price, p.Inner.A, p.Inner.B, p.Items[1], p.Next.Retries, xs, in.A, in.B)
}

//go:noinline
func read(n int) (got int, what string, err error) {
	sink++
	return n, "read", nil
}

//go:noinline
func wide(n int) (a, b, c, d, e, f, g, h, i, j int, x float64) {
	sink += len(fmt.Sprint(n))
	if n < 0 {
		return n, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0.5
	}
	x = float64(n) * 1.5
	sink += len(fmt.Sprint(x))
	return 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, x
}

//go:noinline
func deep(n int, keep int) int {
	var room [64]int
	room[n&63] = keep
	if n > 1000000 {
		fmt.Println("too deep", n)
	}
	if keep > 0 {
		return deep(n, keep-1) + room[(n+1)&63]
	}
	return n
}

//go:noinline
func look(p *Request, n int) string {
	if n != 2021 {
		atomic.AddInt64(&wrong, 1)
	}
	return strings.Repeat(p.Method, 2)
}

//go:noinline
func spin(n *int32) {
	for atomic.LoadInt32(n) == 0 {
	}
}

func small(a, b int) int { return a*b + 1 }

// ---- what was believed ------------------------------------------------------------------------------------------

type belief struct {
	calls, changed, sum, kept int
}

func (b *belief) call(n, keep int) {
	b.calls++
	if n == 2021 {
		b.changed++
	} else {
		b.sum += n
	}
	b.kept += keep
}

func (b *belief) tell(what string) {
	fmt.Printf("%s: calls=%d changed=%d sum=%d kept=%d\n", what, b.calls, b.changed, b.sum, b.kept)
	*b = belief{}
}

var (
	seen  belief
	wrong int64
)

// ---- modes ------------------------------------------------------------------------------------------------------

func calls(n int) {
	results := 0
	for i := 0; i < n; i++ {
		results += target(-1-i, i)
	}
	seen.tell("target")
	fmt.Printf("results=%d\n", results)
	for i := 0; i < 101; i++ {
		other(-1-i, i)
	}
	seen.tell("other")
}

func values() {
	kinds(true, -1, 7, 3, 1<<40, 1.5, string([]byte("grown")), &Request{Method: "GET"}, ErrFull)
	for _, s := range []string{string([]byte("heap string")), "a literal of the program", ""} {
		n := text(s)
		fmt.Printf("len=%d\n", n)
	}
	p := &Request{Method: string([]byte("DELETE")), Retries: 3, Price: 2.5, Inner: Inner{1, 2}, Items: []int32{1, 2, 3},
		Next: &Request{Retries: 9}}
	handle(p, []int32{4, 5, 6}, Inner{8, 9})
}

func reads(n int) {
	failed, empty := 0, 0
	for i := 1; i <= n; i++ {
		got, what, err := read(i)
		if err == io.ErrUnexpectedEOF {
			failed++
		} else if err != nil {
			fmt.Println("another error:", err)
		}
		if got == 0 && what == "" {
			empty++
		}
	}
	fmt.Printf("reads=%d failed=%d empty=%d bodies=%d\n", n, failed, empty, sink)
}

func grow(n int) {
	var wait sync.WaitGroup
	bad := int64(0)
	for i := 0; i < n; i++ {
		wait.Add(1)
		go func(i int) {
			defer wait.Done()
			if got := deep(-1-i, 100); got != 2021 {
				atomic.AddInt64(&bad, 1)
			}
		}(i)
	}
	wait.Wait()
	fmt.Printf("grow=%d bad=%d\n", n, bad)
}

//go:noinline
func tick(n int) {
	fmt.Println("tick", n)
}

// Until standard input ends.
func ticks() {
	done := make(chan bool)
	go func() {
		bufio.NewReader(os.Stdin).ReadString('\x00')
		close(done)
	}()
	for i := 0; ; i++ {
		select {
		case <-done:
			return
		case <-time.After(5 * time.Millisecond):
			tick(-1 - i)
		}
	}
}

// Collections, growing stacks and many goroutines, while arguments are changed: what they hold must stay whole.
func stress(seconds float64) {
	end := time.Now().Add(time.Duration(seconds * float64(time.Second)))
	var wait sync.WaitGroup
	var total, broken int64
	for g := 0; g < 8; g++ {
		wait.Add(1)
		go func(g int) {
			defer wait.Done()
			for i := 0; time.Now().Before(end); i++ {
				p := &Request{Method: fmt.Sprintf("method-%d-%d", g, i), Items: make([]int32, 100)}
				if look(p, i%7) != p.Method+p.Method {
					atomic.AddInt64(&broken, 1)
				}
				deep(2021, 40)
				atomic.AddInt64(&total, 1)
			}
		}(g)
	}
	for time.Now().Before(end) {
		runtime.GC()
	}
	wait.Wait()
	fmt.Printf("stress: calls=%v broken=%d wrong=%d\n", total > 0, broken, wrong)
}

const (
	hugePage = 2 << 20
	// madvise(2)
	madvHugePage = 14
	madvCold     = 20 // splits a huge page of which it is told a part
	madvCollapse = 25
)

// The stacks on which arguments are changed stand in pages that the kernel makes a huge one of, and splits again, all the while.
func moved(seconds float64) {
	end := time.Now().Add(time.Duration(seconds * float64(time.Second)))
	var wait sync.WaitGroup
	var stacks [4]uintptr
	moves := 0
	for g := range stacks {
		wait.Add(1)
		go func(stack *uintptr) {
			defer wait.Done()
			var here byte
			p := &Request{Method: "GET"}
			for time.Now().Before(end) {
				look(p, 7)
				atomic.StoreUintptr(stack, uintptr(unsafe.Pointer(&here)))
			}
		}(&stacks[g])
	}
	advise := func(at, n uintptr, advice uintptr) bool {
		_, _, failed := syscall.Syscall(syscall.SYS_MADVISE, at, n, advice)
		return failed == 0
	}
	for i := 0; time.Now().Before(end); i++ {
		if at := atomic.LoadUintptr(&stacks[i%len(stacks)]) &^ (hugePage - 1); at != 0 {
			advise(at, hugePage, madvHugePage)
			if advise(at, hugePage, madvCollapse) {
				moves++
			}
			advise(at, uintptr(os.Getpagesize()), madvCold)
		}
	}
	wait.Wait()
	fmt.Printf("moved: wrong=%d moves=%d\n", wrong, moves)
}

//go:noinline
func edge(p *Request) {
	sink += len(p.Method)
}

// A string whose bytes are on two pages, of which one takes no write.
func edges(readOnly int) {
	page := os.Getpagesize()
	room, err := syscall.Mmap(-1, 0, 2*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		panic(err)
	}
	text := room[page-4 : page+4]
	copy(text, "abcdefgh")
	p := &Request{Method: *(*string)(unsafe.Pointer(&text))}
	if err := syscall.Mprotect(room[readOnly*page:(readOnly+1)*page], syscall.PROT_READ); err != nil {
		panic(err)
	}
	edge(p)
	fmt.Printf("method=%q\n", p.Method)
}

// The two words of err come to stand on each place of a page, also the last and the next one's first.
//
//go:noinline
func down(n int, err error) int {
	other := 0
	if err != io.EOF {
		other = 1
	}
	if n == 0 {
		return other
	}
	return other + down(n-1, err)
}

func main() {
	mode := flag.String("mode", "calls", "calls, values, reads, grow, ticks, stress, moved, edges, down")
	n := flag.Int("n", 100003, "how many")
	seconds := flag.Float64("seconds", 1, "of stress")
	wait := flag.Bool("wait", false, "begin when a line is read")
	flag.Parse()
	if *wait {
		fmt.Println("ready")
		bufio.NewReader(os.Stdin).ReadString('\n')
	}
	switch *mode {
	case "calls":
		calls(*n)
	case "values":
		values()
	case "reads":
		reads(*n)
	case "grow":
		grow(*n)
	case "ticks":
		ticks()
	case "stress":
		stress(*seconds)
	case "moved":
		moved(*seconds)
	case "edges":
		edges(0)
		edges(1)
	case "down":
		fmt.Println("others:", down(*n, ErrFull))
	}
	if small(*n, *n) == 0 || len(os.Args) > 100 {
		one := int32(1)
		spin(&one)
		fmt.Println(ErrUnset, io.ErrUnexpectedEOF)
		fmt.Println(wide(*n))
	}
}
