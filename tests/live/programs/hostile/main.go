// SPDX-License-Identifier: Apache-2.0

// Values whose words are not what Go would have made them.
package main

import (
	"fmt"
	"runtime/debug"
	"unsafe"
)

type ring struct {
	Name string
	Next *ring
	Self interface{}
	Ring []*ring
	Map  map[string]*ring
}

type words [8]uintptr

var sink int

//go:noinline
func text(s string) { sink++ }

//go:noinline
func list(xs []int, rings []ring) { sink++ }

//go:noinline
func table(m map[string]int) { sink++ }

//go:noinline
func holds(x interface{}, err error) { sink++ }

//go:noinline
func calls(f func(int) int, c chan int) { sink++ }

//go:noinline
func rings(r *ring) { sink++ }

const (
	nowhere = uintptr(0x7f0000000)        // not mapped
	kernel  = uintptr(0xffff800000000000) // not the program's
)

func main() {
	debug.SetGCPercent(-1) // nobody else is to follow these pointers
	// pages that end: behind the last byte of this block there may be nothing
	block := &words{}
	for i := range block {
		block[i] = uintptr(unsafe.Pointer(block))
	}
	self := uintptr(unsafe.Pointer(block))
	for _, w := range [][2]uintptr{{nowhere, 5}, {nowhere, 1 << 62}, {self, 1 << 63}, {self, ^uintptr(0)}, {0, 5}, {kernel, 5}, {^uintptr(0), 5},
		{self, 1 << 46}, {4096, 1 << 40}} {
		w3 := [3]uintptr{w[0], w[1], w[1]}
		text(*(*string)(unsafe.Pointer(&w)))
		list(*(*[]int)(unsafe.Pointer(&w3)), *(*[]ring)(unsafe.Pointer(&w3)))
		holds(*(*interface{})(unsafe.Pointer(&w)), *(*error)(unsafe.Pointer(&w)))
		holds(*(*interface{})(unsafe.Pointer(&[2]uintptr{w[1], w[0]})), *(*error)(unsafe.Pointer(&[2]uintptr{w[1], w[0]})))
	}
	for _, w := range []uintptr{nowhere, kernel, ^uintptr(0), self, 4096} {
		p := w
		table(*(*map[string]int)(unsafe.Pointer(&p)))
		calls(*(*func(int) int)(unsafe.Pointer(&p)), *(*chan int)(unsafe.Pointer(&p)))
	}
	// a map that counts few and is its own directory, of any length
	for _, length := range []uintptr{0, 1, 2, 1 << 40} {
		block[0], block[2], block[3] = 3, self, length
		p := self
		table(*(*map[string]int)(unsafe.Pointer(&p)))
	}
	r := &ring{Name: "one"}
	r.Next, r.Self, r.Ring, r.Map = r, r, []*ring{r, r}, map[string]*ring{"r": r}
	rings(r)
	r.Self = &r.Self
	rings(r)
	fmt.Println("done")
}
