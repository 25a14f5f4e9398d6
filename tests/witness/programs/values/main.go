// SPDX-License-Identifier: Apache-2.0

// Values calls functions with fixed values, for two observers that must see the same. Builds with Go 1.15 and later.
package main

import (
	"fmt"
	"os"
)

type point struct {
	x, y int32
}

type shape struct {
	name   string
	corner point
	sides  [2]uint16
	closed bool
}

type list struct {
	value int
	next  *list
}

var sink []interface{}

//go:noinline
func integers(a int8, b uint16, c int32, d uint64, e int, f uintptr, g byte, h rune) int {
	sink = append(sink, a, b, c, d, e, f, g, h)
	return e
}

//go:noinline
func many(a, b, c, d, e, f, g, h, i, j, k int) int {
	sink = append(sink, a, b, c, d, e, f, g, h, i, j, k)
	return a + k
}

//go:noinline
func texts(s string, on bool, empty string) int {
	sink = append(sink, s, on, empty)
	return len(s)
}

//go:noinline
func slices(xs []int, ss []string, bs []byte, none []int) int {
	sink = append(sink, xs, ss, bs, none)
	return len(xs)
}

//go:noinline
func structs(p point, s shape, a [3]int) int {
	sink = append(sink, p, s, a)
	return int(p.x)
}

//go:noinline
func pointers(p *point, s *shape, l *list, null *int) int {
	sink = append(sink, p, s, l, null)
	return int(p.y)
}

//go:noinline
func floats(a float64, n int, b float32, big [2]float64) float64 {
	sink = append(sink, a, n, b, big)
	return a
}

//go:noinline
func (s *shape) method(by int, p point) string {
	sink = append(sink, s, by, p)
	return s.name
}

func main() {
	s := shape{"square", point{-1, 7}, [2]uint16{4, 65535}, true}
	l := &list{1, &list{-2, nil}}
	integers(-128, 65535, -2147483648, 1<<64-1, -101, 0xdead, 255, 'é')
	many(1, -2, 3, -5, 7, -11, 13, -17, 19, -23, 29)
	texts("test for ebpf", true, "")
	slices([]int{2, -3, 5}, []string{"a", "", "bcd"}, []byte{0, 255, 104}, nil)
	structs(point{3, -4}, s, [3]int{1, -1, 23})
	pointers(&point{8, 9}, &s, l, nil)
	floats(66.875, 41, -0.5, [2]float64{1.5, -2.25})
	s.method(43, point{5, -6})
	fmt.Fprintln(os.Stderr, len(sink))
}
