// SPDX-License-Identifier: Apache-2.0

// Calls whose words use up the registers, or do not fit them; each is printed as a line of JSON, as the tracer shows it.
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

type pair struct {
	X int32
	Y string
}

type wide struct {
	A, B, C, D, E, F, G, H int64
}

// 11 integer words: two are on the stack.
//
//go:noinline
func ints(a, b, c, d, e, f, g, h, i, j, k int) (int, int, int, int, int, int, int, int, int, int) {
	return k, j, i, h, g, f, e, d, c, b + a
}

// 17 float words: two are on the stack, and only those can be had without the function's help.
//
//go:noinline
func floats(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q float64) float64 {
	return a + b + c + d + e + f + g + h + i + j + k + l + m + n + o + p + q
}

// The struct takes 8 registers and the string 2: the string goes to the stack, the bool behind it into the ninth register.
//
//go:noinline
func mixed(w wide, s string, last bool) (pair, wide, error) {
	return pair{int32(len(s)), s + "!"}, wide{w.H, w.G, w.F, w.E, w.D, w.C, w.B, w.A}, nil
}

// Arrays of one element are in registers, of two on the stack.
//
//go:noinline
func arrays(one [1]uint16, two [2]uint16, none [0]int, b byte) ([1]string, [2]byte) {
	return [1]string{fmt.Sprint(one, two)}, [2]byte{b, b + 1}
}

// The result is moved to the heap: a deferred closure keeps it.
//
//go:noinline
func moved(n int) (r int, s string) {
	keep = append(keep, &r)
	defer func() { r *= 2; s += "?" }()
	r = n + 1
	s = fmt.Sprint(n)
	return r, s
}

// The parameter is moved to the heap.
//
//go:noinline
func escapes(n int, p pair) *int {
	keep = append(keep, &n)
	n++
	return &n
}

var keep []*int

type line struct {
	Func    string        `json:"func"`
	Args    []interface{} `json:"args"`
	Results []interface{} `json:"results"`
}

var out = json.NewEncoder(os.Stdout)

func say(name string, args, results []interface{}) {
	if err := out.Encode(line{name, args, results}); err != nil {
		panic(err)
	}
}

type list = []interface{}

func main() {
	for n := 1; n <= 23; n++ {
		i := func(k int) int { return n * (k - 5) }
		r0, r1, r2, r3, r4, r5, r6, r7, r8, r9 := ints(i(0), i(1), i(2), i(3), i(4), i(5), i(6), i(7), i(8), i(9), i(10))
		say("main.ints", list{i(0), i(1), i(2), i(3), i(4), i(5), i(6), i(7), i(8), i(9), i(10)},
			list{r0, r1, r2, r3, r4, r5, r6, r7, r8, r9})
		f := func(k int) float64 { return float64(n) + float64(k)/8 }
		sum := floats(f(0), f(1), f(2), f(3), f(4), f(5), f(6), f(7), f(8), f(9), f(10), f(11), f(12), f(13), f(14), f(15), f(16))
		say("main.floats", list{f(0), f(1), f(2), f(3), f(4), f(5), f(6), f(7), f(8), f(9), f(10), f(11), f(12), f(13),
			f(14), f(15), f(16)}, list{sum})
		w := wide{1, 2, 3, 4, 5, 6, 7, int64(n)}
		s := "twenty-three characters"[:n]
		p, back, err := mixed(w, s, n%2 == 0)
		say("main.mixed", list{w, s, n%2 == 0}, list{p, back, err})
		one, two := [1]uint16{uint16(n)}, [2]uint16{uint16(n), 7}
		a, b := arrays(one, two, [0]int{}, byte(n))
		say("main.arrays", list{one, two, [0]int{}, n}, list{a, b})
		r, text := moved(n)
		say("main.moved", list{n}, list{r, text})
		got := escapes(n, p)
		say("main.escapes", list{n, p}, list{*got})
	}
}
