// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"reflect"
	"strings"
	"unsafe"
)

// SplitMix64: the same numbers with every version of Go.
type rng uint64

func (r *rng) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	z := uint64(*r)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func (r *rng) below(n int) int { return int(r.next() % uint64(n)) }

// Rounds: 0 ordinary values, 1 zero values, 2 the extremes, then all of them mixed.
const (
	ordinary = 0
	zeros    = 1
	extremes = 2
)

func (t *trial) mode() int {
	if t.round <= extremes {
		return t.round
	}
	return [...]int{ordinary, ordinary, zeros, extremes}[t.rng.below(4)]
}

// Fill sets what the pointers point to, except interfaces, channels and functions.
func (t *trial) fill(vars ...interface{}) {
	for _, v := range vars {
		t.set(reflect.ValueOf(v).Elem(), 4)
	}
}

var floats = []float64{math.Copysign(0, -1), math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, math.SmallestNonzeroFloat64,
	math.MaxFloat32, math.SmallestNonzeroFloat32, 0.1, -1.0 / 3, 1e21, 1e-7, 16777217}

var texts = []string{"", "z", "grüße, 世界 🦎", "quote \" backslash \\ slash /", "line\nfeed\ttab\x00nul\x7f\x1b[31m\u2028", "bad \xff\xfe utf-8 \xc3(",
	"cut \xe4\xb8", strings.Repeat("0123456789", 41), strings.Repeat("語", 131), strings.Repeat("x", 256), strings.Repeat("y", 257)}

func (t *trial) text() string {
	switch t.mode() {
	case zeros:
		return ""
	case extremes:
		return texts[t.rng.below(len(texts))]
	}
	b := make([]byte, 1+t.rng.below(23))
	for i := range b {
		b[i] = 'a' + byte(t.rng.below(26))
	}
	return string(b)
}

func (t *trial) float() float64 {
	switch t.mode() {
	case zeros:
		return 0
	case extremes:
		return floats[t.rng.below(len(floats))]
	}
	return float64(int64(t.rng.next())>>20) / 1024
}

func (t *trial) integer() uint64 {
	switch t.mode() {
	case zeros:
		return 0
	case extremes:
		// also the least and greatest of each width
		return [...]uint64{1, math.MaxUint64, 1 << 63, 1<<63 - 1, 0x8000800080808080, 0x7fff7fff7f7f7f7f}[t.rng.below(6)]
	}
	return t.rng.next()
}

// Length of a slice; −1 for nil.
func (t *trial) length(pointers bool) int {
	switch t.mode() {
	case zeros:
		return t.rng.below(2) - 1
	case extremes:
		if !pointers {
			return [...]int{63, 64, 65, 301}[t.rng.below(4)]
		}
		return 7
	}
	return 1 + t.rng.below(3)
}

func (t *trial) set(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(t.integer()&1 == 1)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		// The low bytes, as a conversion does: SetInt truncates.
		v.SetInt(int64(t.integer()))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		v.SetUint(t.integer())
	case reflect.Float32, reflect.Float64:
		v.SetFloat(t.float())
	case reflect.Complex64, reflect.Complex128:
		v.SetComplex(complex(t.float(), t.float()))
	case reflect.String:
		v.SetString(t.text())
	case reflect.Array:
		for i := 0; i < v.Len(); i++ {
			t.set(v.Index(i), depth)
		}
	case reflect.Struct:
		for i := 0; i < v.NumField(); i++ {
			t.set(open(v.Field(i)), depth)
		}
	case reflect.Ptr:
		if depth > 0 && (t.round == ordinary || t.mode() != zeros) {
			p := reflect.New(v.Type().Elem())
			t.set(p.Elem(), depth-1)
			v.Set(p)
		}
	case reflect.UnsafePointer:
		if t.mode() != zeros {
			*(*unsafe.Pointer)(unsafe.Pointer(v.UnsafeAddr())) = unsafe.Pointer(new([16]byte))
		}
	case reflect.Slice:
		n := -1
		if depth > 0 {
			n = t.length(hasPointers(v.Type().Elem()))
		}
		if n >= 0 {
			s := reflect.MakeSlice(v.Type(), n, n+t.rng.below(3))
			for i := 0; i < n; i++ {
				t.set(s.Index(i), depth-1)
			}
			v.Set(s)
		}
	case reflect.Map:
		n := -1
		if depth > 0 {
			n = t.length(true)
		}
		if n >= 0 {
			m := reflect.MakeMap(v.Type())
			for i := 0; i < n; i++ {
				key, elem := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
				t.set(key, depth-1)
				t.set(elem, depth-1)
				m.SetMapIndex(key, elem)
			}
			v.Set(m)
		}
	}
}

func hasPointers(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Array:
		return hasPointers(t.Elem())
	case reflect.Struct:
		for i := 0; i < t.NumField(); i++ {
			if hasPointers(t.Field(i).Type) {
				return true
			}
		}
		return false
	case reflect.Ptr, reflect.Slice, reflect.String, reflect.Map, reflect.Interface:
		return true
	}
	return false
}

// Open makes a field of an addressable struct readable and writable although its name may be unexported.
func open(v reflect.Value) reflect.Value {
	return reflect.NewAt(v.Type(), unsafe.Pointer(v.UnsafeAddr())).Elem()
}
