// SPDX-License-Identifier: Apache-2.0

// Channels and func values.
package main

//go:noinline
func zChan(a chan int, b <-chan string, c chan<- zPoint) (<-chan string, chan int) { return b, a }

//go:noinline
func zChanStruct(a struct {
	C chan zNone
	N int
}) chan zNone {
	return a.C
}

//go:noinline
func zFunc(f func(int) int) func(int) int { return f }

//go:noinline
func zFuncs(n int8, f func(), g []func(string) error) ([]func(string) error, func()) { return g, f }

//go:noinline
func zCallback(n int, f func(int) int) int { return f(n) }

func double(n int) int { return 2 * n }

func (p zPoint) scale(n int) int { return p.X * n }

func (p *zPoint) move(n int) int {
	p.X += n
	return p.X
}

func init() {
	add("zChan", func(t *trial) {
		var a chan int
		b, c := make(chan string), make(chan zPoint, 3)
		if t.round > 0 {
			a = make(chan int, t.round)
			for i := 0; i < t.round/2; i++ {
				a <- i
			}
			if t.round%2 == 0 {
				close(a)
			}
		}
		var receive <-chan string = b
		var send chan<- zPoint = c
		t.enter("a b c", &a, &receive, &send)
		r0, r1 := zChan(a, b, c)
		t.out("", &r0, &r1)
	})
	add("zChanStruct", func(t *trial) {
		var a struct {
			C chan zNone
			N int
		}
		a.N = t.round
		if t.round%2 == 1 {
			a.C = make(chan zNone, 2)
			a.C <- zNone{}
		}
		t.enter("a", &a)
		r0 := zChanStruct(a)
		t.out("", &r0)
	})
	add("zFunc", func(t *trial) {
		k, p := t.round, zPoint{3, t.round}
		for _, f := range []func(int) int{nil, double, func(n int) int { return n + 1 }, func(n int) int { return n + k }, p.scale, p.move, (&p).move} {
			f := f
			t.enter("f", &f)
			r0 := zFunc(f)
			t.out("", &r0)
		}
	})
	add("zFuncs", func(t *trial) {
		n, f, g := int8(t.round), func() { sinkInt++ }, []func(string) error{nil, func(s string) error { return zProblem{t.round, s} }}
		t.enter("n f g", &n, &f, &g)
		r0, r1 := zFuncs(n, f, g)
		t.out("", &r0, &r1)
	})
	add("zCallback", func(t *trial) {
		n, k := t.round, 10
		f := func(m int) int { return k * m }
		t.enter("n f", &n, &f)
		r0 := zCallback(n, f)
		t.out("", &r0)
	})
}
