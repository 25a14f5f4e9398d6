// SPDX-License-Identifier: Apache-2.0

// Assembly functions, which keep the older calling convention.
package main

func zAsm(a int64, b uint8, f float64, s string) (int64, float64)

//go:noescape
func zAsmFrame(p *int64, n int64) int64

func init() {
	add("zAsm", func(t *trial) {
		var a int64
		var b uint8
		var f float64
		var s string
		t.in("a b f s", &a, &b, &f, &s)
		r0, r1 := zAsm(a, b, f, s)
		t.out("", &r0, &r1)
	})
	add("zAsmFrame", func(t *trial) {
		p := new(int64)
		var n int64
		t.fill(&n)
		t.enter("p n", &p, &n)
		r0 := zAsmFrame(p, n)
		t.out("", &r0)
	})
}
