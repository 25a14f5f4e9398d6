// SPDX-License-Identifier: Apache-2.0

// Functions that take and return floats in every way that code does; each call is printed as a line of JSON with the bits of its floats.
package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
)

type point struct {
	X, Y float64
	Z    float32
}

type guarded struct {
	mu sync.Mutex
	x  float64
}

var (
	sink  int
	third float64 = 1.0 / 3
)

//go:noinline
func use() { sink++ }

//go:noinline
func kept(a float64, b float32) (float32, float64) {
	use()
	return b, a
}

//go:noinline
func constant(n int) (float64, float32) {
	if n == 0 {
		return 0, 1
	}
	if n == 1 {
		use()
		return math.Pi, 0.1
	}
	if n == 2 {
		return math.MaxFloat64, 0
	}
	return -1.5, -math.MaxFloat32
}

//go:noinline
func fromBits(b uint64, c uint32) (float64, float32) {
	return math.Float64frombits(b), math.Float32frombits(c)
}

//go:noinline
func loaded(b *uint64) float64 { return math.Float64frombits(atomic.LoadUint64(b)) }

//go:noinline
func field(p *point) (float64, float32) { return p.Y, p.Z }

//go:noinline
func joined(p *point, n int) float64 {
	x := p.X
	if n > 3 {
		x = p.Y
	}
	return x
}

//go:noinline
func unlocked(g *guarded) float64 {
	g.mu.Lock()
	x := g.x
	g.mu.Unlock()
	return x
}

//go:noinline
func stored(p *point, a float64) float64 {
	p.X = a * 2
	return p.X
}

//go:noinline
func global() float64 { return third }

//go:noinline
func recovered(a float64) (r float64) {
	defer func() { _ = recover() }()
	r = a
	panic("on purpose")
}

//go:noinline
func deep(n int) int {
	var room [128]int
	room[n&127] = n
	if n == 0 {
		return room[0]
	}
	return deep(n-1) + room[n&127]
}

//go:noinline
func grown(a float64, n int) float64 {
	sink += deep(n)
	return a
}

//go:noinline
func complexes(c complex128, d complex64) (complex64, complex128) {
	use()
	return d, c
}

//go:noinline
func many(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o float64) (float64, float64, float64, float64, float64, float64, float64,
	float64, float64, float64, float64, float64, float64, float64, float64) {
	use()
	return o, n, m, l, k, j, i, h, g, f, e, d, c, b, a
}

//go:noinline
func branched(a float64, n int) float64 {
	if n > 3 {
		use()
		return a
	}
	return a + 1
}

//go:noinline
func called(a, b float64, n int) float64 {
	if n > 3 {
		use()
	}
	return a - b
}

//go:noinline
func looped(a float64, xs []float64) float64 {
	for _, x := range xs {
		a += x
	}
	return a
}

// What p points to is another before the call of use, where a is on the stack.
//
//go:noinline
func bumped(p *point, a float64) float64 {
	p.X = 7
	use()
	return a
}

//go:noinline
func bumpedLater(p *point, a float64, n int) float64 {
	p.X += a
	p.Z = 3
	sink += n
	use()
	return a + p.X
}

//go:noinline
func squared(a float64) float64 { return a * a }

//go:noinline
func unused(a float64, n int) int { return n + 1 }

//go:noinline
func preempted(i int, a float64) float64 {
	use2(i)
	return a
}

//go:noinline
func use2(int) {}

type line struct {
	Func    string        `json:"func"`
	Args    []interface{} `json:"args"`
	Results []interface{} `json:"results"`
}

var out = json.NewEncoder(os.Stdout)

func bits(v interface{}) interface{} {
	switch v := v.(type) {
	case float64:
		return fmt.Sprintf("%016x", math.Float64bits(v))
	case float32:
		return fmt.Sprintf("%08x", math.Float32bits(v))
	case complex128:
		return []interface{}{bits(real(v)), bits(imag(v))}
	case complex64:
		return []interface{}{bits(real(v)), bits(imag(v))}
	case int:
		return v
	}
	return nil
}

func say(name string, args, results []interface{}) {
	l := line{Func: "main." + name}
	for _, a := range args {
		l.Args = append(l.Args, bits(a))
	}
	for _, r := range results {
		l.Results = append(l.Results, bits(r))
	}
	if err := out.Encode(l); err != nil {
		panic(err)
	}
}

type list = []interface{}

func one(a float64, n int) {
	b := float32(a)
	r0, r1 := kept(a, b)
	say("kept", list{a, b}, list{r0, r1})
	r2, r3 := constant(n & 3)
	say("constant", list{n & 3}, list{r2, r3})
	u, w := math.Float64bits(a), math.Float32bits(b)
	r4, r5 := fromBits(u, w)
	say("fromBits", list{nil, nil}, list{r4, r5})
	r6 := loaded(&u)
	say("loaded", list{nil}, list{r6})
	p := &point{a, -a, b}
	r7, r8 := field(p)
	say("field", list{nil}, list{r7, r8})
	r9 := joined(p, n)
	say("joined", list{nil, n}, list{r9})
	g := &guarded{x: a}
	r10 := unlocked(g)
	say("unlocked", list{nil}, list{r10})
	r11 := stored(p, a)
	say("stored", list{nil, a}, list{r11})
	r12 := global()
	say("global", nil, list{r12})
	r13 := recovered(a)
	say("recovered", list{a}, list{r13})
	done := make(chan float64)
	go func() { done <- grown(a, 200) }()
	say("grown", list{a, 200}, list{<-done})
	r14, r15 := complexes(complex(a, -a), complex(-b, b))
	say("complexes", list{complex(a, -a), complex(-b, b)}, list{r14, r15})
	var f [15]float64
	f[0], f[1], f[2], f[3], f[4], f[5], f[6], f[7], f[8], f[9], f[10], f[11], f[12], f[13], f[14] = many(a, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, -a)
	var results list
	for _, x := range f {
		results = append(results, x)
	}
	say("many", list{a, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, -a}, results)
	r16 := branched(a, n)
	say("branched", list{a, n}, list{r16})
	r17 := called(a, 0.5, n)
	say("called", list{a, 0.5, n}, list{r17})
	xs := []float64{0.25, 0.5}[:n&1]
	r18 := looped(a, xs)
	say("looped", list{a, nil}, list{r18})
	r19 := squared(a)
	say("squared", list{a}, list{r19})
	q := &point{a, -a, b}
	r21 := bumped(q, a)
	say("bumped", list{a, a}, list{r21})
	q = &point{a, -a, b}
	r22 := bumpedLater(q, a, n)
	say("bumpedLater", list{a, a, n}, list{r22})
	r20 := unused(a, n)
	say("unused", list{a, n}, list{r20})
}

func main() {
	values := []float64{0, math.Copysign(0, -1), 1, -2.5, 0.1, math.Pi, math.Inf(1), math.Inf(-1), math.NaN(),
		math.Float64frombits(0x7ff8dead0000beef), math.Float64frombits(0xfff4000000000001), math.MaxFloat64,
		math.SmallestNonzeroFloat64, math.MaxFloat32, math.SmallestNonzeroFloat32, 16777217, 1e21}
	for n, a := range values {
		one(a, n)
	}
	/* While the garbage collector has every goroutine stopped where it happens to be. */
	var wait sync.WaitGroup
	var stop int32
	for g := 0; g < 3; g++ {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for i := 0; i < 4001; i++ {
				if preempted(i, float64(i)*1.5) != float64(i)*1.5 {
					panic("another result")
				}
			}
		}()
	}
	go func() {
		for atomic.LoadInt32(&stop) == 0 {
			runtime.GC()
		}
	}()
	wait.Wait()
	atomic.StoreInt32(&stop, 1)
}
