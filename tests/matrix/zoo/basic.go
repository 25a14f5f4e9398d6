// SPDX-License-Identifier: Apache-2.0

// Integers, floats, complex numbers, strings and slices of them; registers that run out; names that are not there.
package main

import "unsafe"

//go:noinline
func zNothing() { sinkInt++ }

//go:noinline
func zBools(a, b bool) (bool, bool) { return b, !a }

//go:noinline
func zInts(a int8, b int16, c int32, d int64, e int) (int, int64, int32, int16, int8) {
	return e, d, c, b, a
}

//go:noinline
func zUints(a uint8, b uint16, c uint32, d uint64, e uint, f uintptr) (uintptr, uint, uint64, uint32, uint16, uint8) {
	return f, e, d, c, b, a
}

//go:noinline
func zByteRune(a byte, b rune) (rune, byte) { return b + 1, a + 1 }

// Parts of a word that another function has just left in the registers.
//
//go:noinline
func zNarrow(a int8) int8 { return -a }

//go:noinline
func zTen(a, b, c, d, e, f, g, h, i, j int) (int, int, int, int, int, int, int, int, int, int, int) {
	return j, i, h, g, f, e, d, c, b, a, a + b
}

// The string no longer fits the registers, the integer after it does.
//
//go:noinline
func zGap(a, b, c, d, e, f, g, h int, s string, i int) (int, string) { return i, s }

//go:noinline
func zFloat32(a float32) float32 { return a + a }

//go:noinline
func zFloat64(a float64) float64 { return -a }

// Both are kept over a call, so that they are spilled.
//
//go:noinline
func zFloatsKept(a float64, b float32, n int) (float64, float32) {
	use(n)
	return a, b
}

//go:noinline
func zFloatsLeaf(a, b float64) float64 { return a + b }

//go:noinline
func zFloatUnused(a float64, n int) int { return n }

//go:noinline
func zFloatStored(a float64, to *float64) *float64 {
	*to = a
	return to
}

//go:noinline
func zSixteenFloats(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p float64) (float64, float64) {
	use(1)
	return a + p, o
}

//go:noinline
func zMixed(a int8, x float32, b uint16, y float64, c int32, s string, z float32, d, e, f, g, h int, i bool, w complex64) (float64, int, bool, string, float32) {
	use(int(a))
	return y, h + d + e + f + g, i, s, x + z + real(w)
}

//go:noinline
func zComplex(a complex64, b complex128) (complex128, complex64) { return b, a }

//go:noinline
func zComplexes(a, b, c, d, e, f, g, h complex128) (complex128, complex128) {
	use(2)
	return h, a
}

//go:noinline
func zString(s string) string { return s }

//go:noinline
func zStrings(a, b, c, d, e string) (string, string, string, string, string) { return e, d, c, b, a }

//go:noinline
func zStringUnused(a string, b int) int { return b }

//go:noinline
func zBytes(b []byte) []byte {
	if len(b) > 1 {
		return b[1:]
	}
	return b
}

//go:noinline
func zSlices(a []int, b []bool, c []float32) ([]float32, []bool, []int) { return c, b, a }

//go:noinline
func zSlicesMore(a []string, b []uint16, c []complex128, d [][]int8) ([][]int8, []string) {
	return d, a
}

//go:noinline
func zUnsafe(p unsafe.Pointer, n uintptr) (unsafe.Pointer, uintptr) { return p, n }

//go:noinline
func zBlank(_ int, b string, _ float64, d int8) (int8, string) { return d, b }

// Go up to 1.21 tells a debugger nothing of the first, and of the others only their names and types.
//
//go:noinline
func zBlankFirst(_ int, b int, c string, d bool) int { return sinkInt }

//go:noinline
func zBlankSmall(_ int8, b int8, _ bool, d bool, e uint16) {}

//go:noinline
func zBlankStack(_ [3]int, b [2]int8, _ [2]int8, d [2]int8, e int) (r [2]int) {
	return [2]int{e, int(d[1])}
}

//go:noinline
func zUnnamed(int, string, uint8) int { return sinkInt }

//go:noinline
func zOneUnnamed(float64) { sinkInt++ }

//go:noinline
func zNamed(a int, s string) (n int, text string, ok bool) {
	n = a + 1
	text = s
	ok = n > 0
	return
}

//go:noinline
func zBlankResults(a int, s string) (_ int, text string, _ bool) { return a, s, a > 0 }

//go:noinline
func zShadow(a int) (r int) {
	for i := 0; i < 2; i++ {
		r := a + i
		sinkInt += r
	}
	r = a * 2
	return r
}

//go:noinline
func zReassigned(a int, s string) (int, string) {
	a++
	s = s + "!"
	use(a)
	return a, s
}

//go:noinline
func zVariadic(prefix string, xs ...int) int { return len(prefix) + len(xs) }

var sinkInt int

// Use keeps the compiler from doing without a call.
//
//go:noinline
func use(n int) { sinkInt += n }

func init() {
	add("zNothing", func(t *trial) {
		t.in("")
		zNothing()
		t.out("")
	})
	add("zBools", func(t *trial) {
		var a, b bool
		t.in("a b", &a, &b)
		r0, r1 := zBools(a, b)
		t.out("", &r0, &r1)
	})
	add("zInts", func(t *trial) {
		var a int8
		var b int16
		var c int32
		var d int64
		var e int
		t.in("a b c d e", &a, &b, &c, &d, &e)
		r0, r1, r2, r3, r4 := zInts(a, b, c, d, e)
		t.out("", &r0, &r1, &r2, &r3, &r4)
	})
	add("zUints", func(t *trial) {
		var a uint8
		var b uint16
		var c uint32
		var d uint64
		var e uint
		var f uintptr
		t.in("a b c d e f", &a, &b, &c, &d, &e, &f)
		r0, r1, r2, r3, r4, r5 := zUints(a, b, c, d, e, f)
		t.out("", &r0, &r1, &r2, &r3, &r4, &r5)
	})
	add("zByteRune", func(t *trial) {
		var a byte
		var b rune
		t.in("a b", &a, &b)
		r0, r1 := zByteRune(a, b)
		t.out("", &r0, &r1)
	})
	add("zNarrow", func(t *trial) {
		var a int8
		t.in("a", &a)
		r0 := zNarrow(a)
		t.out("", &r0)
	})
	add("zTen", func(t *trial) {
		var a, b, c, d, e, f, g, h, i, j int
		t.in("a b c d e f g h i j", &a, &b, &c, &d, &e, &f, &g, &h, &i, &j)
		r0, r1, r2, r3, r4, r5, r6, r7, r8, r9, r10 := zTen(a, b, c, d, e, f, g, h, i, j)
		t.out("", &r0, &r1, &r2, &r3, &r4, &r5, &r6, &r7, &r8, &r9, &r10)
	})
	add("zGap", func(t *trial) {
		var a, b, c, d, e, f, g, h, i int
		var s string
		t.in("a b c d e f g h s i", &a, &b, &c, &d, &e, &f, &g, &h, &s, &i)
		r0, r1 := zGap(a, b, c, d, e, f, g, h, s, i)
		t.out("", &r0, &r1)
	})
	add("zFloat32", func(t *trial) {
		var a float32
		t.in("a", &a)
		r0 := zFloat32(a)
		t.out("", &r0)
	})
	add("zFloat64", func(t *trial) {
		var a float64
		t.in("a", &a)
		r0 := zFloat64(a)
		t.out("", &r0)
	})
	add("zFloatsKept", func(t *trial) {
		var a float64
		var b float32
		var n int
		t.in("a b n", &a, &b, &n)
		r0, r1 := zFloatsKept(a, b, n)
		t.out("", &r0, &r1)
	})
	add("zFloatsLeaf", func(t *trial) {
		var a, b float64
		t.in("a b", &a, &b)
		r0 := zFloatsLeaf(a, b)
		t.out("", &r0)
	})
	add("zFloatUnused", func(t *trial) {
		var a float64
		var n int
		t.in("a n", &a, &n)
		r0 := zFloatUnused(a, n)
		t.out("", &r0)
	})
	add("zFloatStored", func(t *trial) {
		var a float64
		to := new(float64)
		t.fill(&a)
		t.enter("a to", &a, &to)
		r0 := zFloatStored(a, to)
		t.out("", &r0)
	})
	add("zSixteenFloats", func(t *trial) {
		var a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p float64
		t.in("a b c d e f g h i j k l m n o p", &a, &b, &c, &d, &e, &f, &g, &h, &i, &j, &k, &l, &m, &n, &o, &p)
		r0, r1 := zSixteenFloats(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p)
		t.out("", &r0, &r1)
	})
	add("zMixed", func(t *trial) {
		var a int8
		var x, z float32
		var b uint16
		var y float64
		var c int32
		var s string
		var d, e, f, g, h int
		var i bool
		var w complex64
		t.in("a x b y c s z d e f g h i w", &a, &x, &b, &y, &c, &s, &z, &d, &e, &f, &g, &h, &i, &w)
		r0, r1, r2, r3, r4 := zMixed(a, x, b, y, c, s, z, d, e, f, g, h, i, w)
		t.out("", &r0, &r1, &r2, &r3, &r4)
	})
	add("zComplex", func(t *trial) {
		var a complex64
		var b complex128
		t.in("a b", &a, &b)
		r0, r1 := zComplex(a, b)
		t.out("", &r0, &r1)
	})
	add("zComplexes", func(t *trial) {
		var a, b, c, d, e, f, g, h complex128
		t.in("a b c d e f g h", &a, &b, &c, &d, &e, &f, &g, &h)
		r0, r1 := zComplexes(a, b, c, d, e, f, g, h)
		t.out("", &r0, &r1)
	})
	for i := range texts {
		s := texts[i]
		add("zString", func(t *trial) {
			if t.round > extremes {
				t.fill(&s)
			}
			t.enter("s", &s)
			r0 := zString(s)
			t.out("", &r0)
		})
	}
	add("zStrings", func(t *trial) {
		var a, b, c, d, e string
		t.in("a b c d e", &a, &b, &c, &d, &e)
		r0, r1, r2, r3, r4 := zStrings(a, b, c, d, e)
		t.out("", &r0, &r1, &r2, &r3, &r4)
	})
	add("zStringUnused", func(t *trial) {
		var a string
		var b int
		t.in("a b", &a, &b)
		r0 := zStringUnused(a, b)
		t.out("", &r0)
	})
	add("zBytes", func(t *trial) {
		var b []byte
		t.in("b", &b)
		r0 := zBytes(b)
		t.out("", &r0)
	})
	add("zSlices", func(t *trial) {
		var a []int
		var b []bool
		var c []float32
		t.in("a b c", &a, &b, &c)
		r0, r1, r2 := zSlices(a, b, c)
		t.out("", &r0, &r1, &r2)
	})
	add("zSlicesMore", func(t *trial) {
		var a []string
		var b []uint16
		var c []complex128
		var d [][]int8
		t.in("a b c d", &a, &b, &c, &d)
		r0, r1 := zSlicesMore(a, b, c, d)
		t.out("", &r0, &r1)
	})
	add("zUnsafe", func(t *trial) {
		var p unsafe.Pointer
		var n uintptr
		t.in("p n", &p, &n)
		r0, r1 := zUnsafe(p, n)
		t.out("", &r0, &r1)
	})
	add("zBlank", func(t *trial) {
		var a int
		var b string
		var c float64
		var d int8
		t.in("_0 b _2 d", &a, &b, &c, &d)
		r0, r1 := zBlank(a, b, c, d)
		t.out("", &r0, &r1)
	})
	add("zBlankFirst", func(t *trial) {
		var a, b int
		var c string
		var d bool
		t.in("_0 b c d", &a, &b, &c, &d)
		r0 := zBlankFirst(a, b, c, d)
		t.out("", &r0)
	})
	add("zBlankSmall", func(t *trial) {
		var a, b int8
		var c, d bool
		var e uint16
		t.in("_0 b _2 d e", &a, &b, &c, &d, &e)
		zBlankSmall(a, b, c, d, e)
		t.out("")
	})
	add("zBlankStack", func(t *trial) {
		var a [3]int
		var b, c, d [2]int8
		var e int
		t.in("_0 b _2 d e", &a, &b, &c, &d, &e)
		r := zBlankStack(a, b, c, d, e)
		t.out("r", &r)
	})
	add("zUnnamed", func(t *trial) {
		var a int
		var b string
		var c uint8
		t.in("_0 _1 _2", &a, &b, &c)
		r0 := zUnnamed(a, b, c)
		t.out("", &r0)
	})
	add("zOneUnnamed", func(t *trial) {
		var a float64
		t.in("_0", &a)
		zOneUnnamed(a)
		t.out("")
	})
	add("zNamed", func(t *trial) {
		var a int
		var s string
		t.in("a s", &a, &s)
		n, text, ok := zNamed(a, s)
		t.out("n text ok", &n, &text, &ok)
	})
	add("zBlankResults", func(t *trial) {
		var a int
		var s string
		t.in("a s", &a, &s)
		r0, text, r2 := zBlankResults(a, s)
		t.out("~r0 text ~r2", &r0, &text, &r2)
	})
	add("zShadow", func(t *trial) {
		var a int
		t.in("a", &a)
		r := zShadow(a)
		t.out("r", &r)
	})
	add("zReassigned", func(t *trial) {
		var a int
		var s string
		t.in("a s", &a, &s)
		r0, r1 := zReassigned(a, s)
		t.out("", &r0, &r1)
	})
	add("zVariadic", func(t *trial) {
		var prefix string
		var xs []int
		t.in("prefix xs", &prefix, &xs)
		r0 := zVariadic(prefix, xs...)
		t.out("", &r0)
	})
	add("zVariadic", func(t *trial) {
		prefix, xs := "three", []int{-1, 0, 1 << 40}
		t.enter("prefix xs", &prefix, &xs)
		r0 := zVariadic("three", xs[0], xs[1], xs[2])
		t.out("", &r0)
	})
}
