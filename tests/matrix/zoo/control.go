// SPDX-License-Identifier: Apache-2.0

// Ways to be entered and left: recursion, panics, goroutines; frames of all sizes.
package main

import (
	"runtime"
	"sync"
)

//go:noinline
func zFactorial(n uint64) uint64 {
	if n < 2 {
		return 1
	}
	return n * zFactorial(n-1)
}

//go:noinline
func zRecovered(a int, s string) (r int, text string) {
	defer func() {
		if recover() != nil {
			r, text = -r, text+" recovered"
		}
	}()
	r, text = a, s
	if a%2 == 1 {
		panic("zoo")
	}
	return a + 1, s
}

//go:noinline
func zDeferred(a int) (r int) {
	defer func() { r *= 3 }()
	for i := 0; i < 2; i++ {
		defer func(i int) { r += i }(i)
	}
	return a
}

//go:noinline
func zPanics(a int, s string) int {
	if a >= 0 {
		panic(s)
	}
	return a
}

//go:noinline
func zThrough(a int) (r int) {
	defer func() { sinkInt++ }()
	return zPanics(a, "through") + 1
}

//go:noinline
func zGoexit(a int) int {
	if a >= 0 {
		runtime.Goexit()
	}
	return a
}

//go:noinline
func zHeapResult(a int) (p int, q *int) {
	p = a
	q = &p
	p += 2
	keep = q
	return
}

var keep *int

//go:noinline
func zManyReturns(n int, s string) (string, int) {
	switch {
	case n < -1000:
		return "least", n
	case n < 0:
		return s, -n
	case n == 0:
		return "zero", 0
	case n == 1:
		return s + s, 1
	case n < 10:
		return "few", n * n
	case n < 100:
		use(n)
		return "some", n
	}
	for i := 0; i < 3; i++ {
		if n%(i+2) == 0 {
			return "even", i
		}
	}
	return "many", n
}

//go:noinline
func zSwitch(n uint8) string {
	switch n {
	case 0:
		return "zero"
	case 1:
		return "one"
	case 2:
		return "two"
	case 3:
		return "three"
	case 4:
		return "four"
	case 5:
		return "five"
	case 6:
		return "six"
	case 7:
		return "seven"
	case 8:
		return "eight"
	case 9:
		return "nine"
	}
	return "more"
}

//go:noinline
func zBigFrame(a int, s string, f float64) (int, string) {
	var room [64 << 10]byte
	room[a&0xffff] = byte(a)
	use(int(room[(a+1)&0xffff]) + len(s) + int(room[a&0xff]))
	return int(room[a&0xffff]), s
}

//go:noinline
func zMiddleFrame(a int, s string) int {
	var room [500]int
	room[(a&0xff)+1] = a
	use(room[a&0x7f])
	return room[(a&0xff)+1] + len(s)
}

//go:noinline
func zFrameless(a, b int) int { return a - b }

//go:nosplit
//go:noinline
func zNosplit(a int, b uint8, p *int) int {
	*p = a
	return a ^ int(b)
}

//go:noinline
func zLoop(n int, xs []int) int {
	for n > 1 {
		if n%2 == 0 {
			n /= 2
		} else {
			n = 3*n + 1
		}
		xs[0]++
	}
	return xs[0]
}

// Loops that begin with the function.
//
//go:noinline
func zSpin(p *int) {
	for *p > 0 {
		*p--
	}
}

//go:noinline
func zGrows(a int, s string, p *int) (int, string) {
	deep(200)
	*p += a
	return *p, s
}

//go:noinline
func zLocked(a int, m *sync.Mutex) int {
	m.Lock()
	defer m.Unlock()
	return a + 1
}

//go:noinline
func zMoves(a int) int {
	for i := 0; i < 3; i++ {
		runtime.Gosched()
	}
	return a + 1
}

//go:noinline
func zTailCall(a, b int) int { return zTailTarget(b, a) }

//go:noinline
func zTailTarget(a, b int) int { return a - b }

func catch(f func()) (caught bool) {
	defer func() { caught = recover() != nil }()
	f()
	return
}

func init() {
	add("zFactorial", func(t *trial) {
		n := uint64(6 + t.round)
		for m := n; m >= 1; m-- {
			t.enter("n", &m)
		}
		product := uint64(1)
		if r := zFactorial(n); r == 0 {
			panic("a product")
		}
		for m := uint64(1); m <= n; m++ {
			product *= m
			t.out("", &product)
		}
	})
	add("zRecovered", func(t *trial) {
		a, s := t.round, t.text()
		t.enter("a s", &a, &s)
		r, text := zRecovered(a, s)
		t.out("r text", &r, &text)
	})
	add("zDeferred", func(t *trial) {
		a := t.round
		t.enter("a", &a)
		r := zDeferred(a)
		t.out("r", &r)
	})
	add("zPanics", func(t *trial) {
		a, s := t.round, t.text()
		t.enter("a s", &a, &s)
		if !catch(func() { zPanics(a, s) }) {
			panic("no panic")
		}
		t.unwound("panic")
	})
	add("zThrough", func(t *trial) {
		a, s := t.round, "through"
		t.enter("a", &a)
		inner := &trial{name: "main.zPanics"}
		inner.enter("a s", &a, &s)
		if !catch(func() { zThrough(a) }) {
			panic("no panic")
		}
		inner.unwound("panic")
		t.unwound("panic")
	})
	add("zGoexit", func(t *trial) {
		var wg sync.WaitGroup
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer t.unwound("goexit")
			a := t.round
			t.enter("a", &a)
			zGoexit(a)
		}()
		wg.Wait()
	})
	add("zHeapResult", func(t *trial) {
		var a int
		t.in("a", &a)
		p, q := zHeapResult(a)
		t.out("p q", &p, &q)
	})
	for i := range [12]int{} {
		n := [...]int{-5000, -3, 0, 1, 7, 50, 1000, 1001, 1003, 1005, 1007, 1009}[i]
		add("zManyReturns", func(t *trial) {
			s := t.text()
			t.enter("n s", &n, &s)
			r0, r1 := zManyReturns(n, s)
			t.out("", &r0, &r1)
		})
	}
	add("zSwitch", func(t *trial) {
		for n := uint8(0); n < 12; n++ {
			t.enter("n", &n)
			r0 := zSwitch(n)
			t.out("", &r0)
		}
	})
	add("zBigFrame", func(t *trial) {
		var a int
		var s string
		var f float64
		t.in("a s f", &a, &s, &f)
		r0, r1 := zBigFrame(a, s, f)
		t.out("", &r0, &r1)
	})
	add("zMiddleFrame", func(t *trial) {
		var a int
		var s string
		t.in("a s", &a, &s)
		r0 := zMiddleFrame(a, s)
		t.out("", &r0)
	})
	add("zFrameless", func(t *trial) {
		var a, b int
		t.in("a b", &a, &b)
		r0 := zFrameless(a, b)
		t.out("", &r0)
	})
	add("zNosplit", func(t *trial) {
		var a int
		var b uint8
		p := new(int)
		t.fill(&a, &b)
		t.enter("a b p", &a, &b, &p)
		r0 := zNosplit(a, b, p)
		t.out("", &r0)
	})
	add("zLoop", func(t *trial) {
		n, xs := 27+t.round, []int{0, 1}
		t.enter("n xs", &n, &xs)
		r0 := zLoop(n, xs)
		t.out("", &r0)
	})
	add("zSpin", func(t *trial) {
		n := 5
		p := &n
		t.enter("p", &p)
		zSpin(p)
		t.out("")
	})
	add("zGrows", func(t *trial) { // on a new goroutine, whose stack is small
		var wg sync.WaitGroup
		wg.Add(1)
		go func() {
			defer wg.Done()
			a, s, p := t.round, t.text(), new(int)
			t.enter("a s p", &a, &s, &p)
			r0, r1 := zGrows(a, s, p)
			t.out("", &r0, &r1)
		}()
		wg.Wait()
	})
	add("zLocked", func(t *trial) {
		a, m := t.round, new(sync.Mutex)
		t.enter("a m", &a, &m)
		r0 := zLocked(a, m)
		t.out("", &r0)
	})
	add("zMoves", func(t *trial) { // on several goroutines, one after the other
		for i := 0; i < 3; i++ {
			done := make(chan bool)
			go func(a int) {
				t.enter("a", &a)
				r0 := zMoves(a)
				t.out("", &r0)
				done <- true
			}(100*t.round + i)
			<-done
		}
	})
	add("zTailCall", func(t *trial) {
		var a, b int
		t.in("a b", &a, &b)
		inner := &trial{name: "main.zTailTarget"}
		inner.enter("a b", &b, &a)
		r0 := zTailCall(a, b)
		inner.out("", &r0)
		t.out("", &r0)
	})
}
